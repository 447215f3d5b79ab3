-- Tells who listens on the channel `growqr_events` that rows were inserted, once per statement and without saying which: the listener
-- looks by itself. Several in one transaction are told as one.
CREATE FUNCTION tell_of_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('growqr_events', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER tell_of_events AFTER INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION tell_of_events();
