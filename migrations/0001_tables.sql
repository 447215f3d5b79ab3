-- Tables of the host. A file that has been released is never changed: its checksum is kept in the database. Add a new one.

-- People who have signed in.
CREATE TABLE users (
    id         text PRIMARY KEY CHECK (id <> ''),
    first_seen timestamptz NOT NULL DEFAULT now(),
    last_seen  timestamptz NOT NULL DEFAULT now()
);

-- Tokens of operators. Only a hash of the token is kept.
CREATE TABLE operator_tokens (
    id        text PRIMARY KEY,
    name      text NOT NULL,
    hash      bytea NOT NULL UNIQUE,
    scopes    text[] NOT NULL,
    created   timestamptz NOT NULL DEFAULT now(),
    expires   timestamptz,
    last_used timestamptz,
    revoked   timestamptz
);

-- The container and the volumes of a user.
CREATE TABLE user_stacks (
    user_id text PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    driver  text NOT NULL,
    state   text NOT NULL,
    reason  text,
    details jsonb NOT NULL DEFAULT '{}',
    created timestamptz NOT NULL DEFAULT now(),
    updated timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX user_stacks_by_state ON user_stacks (state, updated);

-- The git home of a user. The credential is encrypted by the host before it comes here.
CREATE TABLE repos (
    user_id    text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name       text NOT NULL,
    backend    text NOT NULL,
    location   text NOT NULL,
    state      text NOT NULL,
    credential bytea,
    details    jsonb NOT NULL DEFAULT '{}',
    created    timestamptz NOT NULL DEFAULT now(),
    updated    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, name)
);

-- Sessions of OpenCode: which thread and actor each belongs to.
CREATE TABLE opencode_sessions (
    user_id  text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id       text NOT NULL,
    actor_id text NOT NULL,
    thread   text,
    parent   text,
    title    text NOT NULL DEFAULT '',
    status   text NOT NULL,
    created  timestamptz NOT NULL DEFAULT now(),
    updated  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, id)
);
CREATE INDEX opencode_sessions_by_actor ON opencode_sessions (actor_id);
CREATE INDEX opencode_sessions_by_thread ON opencode_sessions (user_id, thread, updated DESC);

-- The second layer of memory: what a session knows.
CREATE TABLE session_memory (
    user_id text NOT NULL,
    thread  text NOT NULL,
    path    text NOT NULL,
    content text NOT NULL,
    seq     bigint NOT NULL,
    created timestamptz NOT NULL DEFAULT now(),
    updated timestamptz NOT NULL DEFAULT now(),
    expires timestamptz,
    PRIMARY KEY (user_id, thread, path)
);
CREATE INDEX session_memory_by_expiry ON session_memory (expires) WHERE expires IS NOT NULL;
CREATE INDEX session_memory_words ON session_memory USING gin (to_tsvector('simple', content));

-- What follows is filled by the mirror. These tables refer to no other, because a row of an actor must never wait for another table.

-- Actors as their lifecycle rows tell. `seq` is that of the last row that changed this one: an older row changes nothing.
CREATE TABLE actors (
    id           text PRIMARY KEY,
    namespace    text NOT NULL,
    name         text NOT NULL,
    key          text[] NOT NULL,
    user_id      text,
    version      text,
    created      timestamptz NOT NULL,
    destroyed    timestamptz,
    crashes      bigint NOT NULL DEFAULT 0,
    last_crash   timestamptz,
    last_failure jsonb,
    seq          bigint NOT NULL
);
CREATE INDEX actors_by_user ON actors (user_id, created DESC, id DESC);

-- Everything that actors have told, in the order in which it came here (`id`). A row is identified by its actor and its number there;
-- the time is in the key because the table is parted by it, and it never changes for a row.
CREATE SEQUENCE event_ids AS bigint;
CREATE TABLE events (
    id        bigint NOT NULL DEFAULT nextval('event_ids'),
    actor_id  text NOT NULL,
    seq       bigint NOT NULL CHECK (seq > 0),
    ts        timestamptz NOT NULL,
    name      text NOT NULL,
    event_seq bigint,
    user_id   text,
    thread    text,
    payload   jsonb NOT NULL,
    PRIMARY KEY (actor_id, seq, ts)
) PARTITION BY RANGE (ts);
ALTER SEQUENCE event_ids OWNED BY events.id;
CREATE INDEX events_by_user ON events (user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX events_by_thread ON events (user_id, thread, id) WHERE thread IS NOT NULL;

-- Threads of a user's Grow Agent. `title_words` is the title in lower case, made by the host so that it does not depend on the locale of
-- the database. A deleted thread stays as a tombstone, so that a row that comes again can't bring it back.
CREATE TABLE threads (
    user_id     text NOT NULL,
    id          text NOT NULL,
    actor_id    text NOT NULL,
    title       text NOT NULL DEFAULT '',
    title_words text NOT NULL DEFAULT '',
    archived    boolean NOT NULL DEFAULT false,
    messages    bigint NOT NULL DEFAULT 0,
    created     timestamptz NOT NULL,
    updated     timestamptz NOT NULL,
    deleted     timestamptz,
    seq         bigint NOT NULL,
    PRIMARY KEY (user_id, id)
);
CREATE INDEX threads_newest ON threads (user_id, updated DESC, id DESC) WHERE deleted IS NULL;

-- Messages. `position` is the number of the row that began the message: it orders the messages of a thread for ever.
CREATE TABLE messages (
    user_id   text NOT NULL,
    id        text NOT NULL,
    thread    text NOT NULL,
    actor_id  text NOT NULL,
    position  bigint NOT NULL,
    role      text NOT NULL,
    status    text NOT NULL,
    text      text NOT NULL DEFAULT '',
    tools     jsonb NOT NULL DEFAULT '[]',
    error     jsonb,
    details   jsonb NOT NULL DEFAULT '{}',
    created   timestamptz NOT NULL,
    updated   timestamptz NOT NULL,
    completed timestamptz,
    seq       bigint NOT NULL,
    PRIMARY KEY (user_id, id)
);
CREATE INDEX messages_of_thread ON messages (user_id, thread, position);

-- The last row of each actor that is here. Written in the transaction that writes the rows.
CREATE TABLE mirror_positions (
    actor_id text PRIMARY KEY,
    seq      bigint NOT NULL,
    updated  timestamptz NOT NULL DEFAULT now()
);

-- Rows that the database refused, each with the reason. The payload is kept as bytes: it may be what was refused.
CREATE TABLE mirror_parked (
    actor_id  text NOT NULL,
    seq       bigint NOT NULL,
    ts        timestamptz NOT NULL,
    name      bytea NOT NULL,
    event_seq bigint,
    user_id   bytea,
    payload   bytea NOT NULL,
    sqlstate  text NOT NULL,
    reason    text NOT NULL,
    parked    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (actor_id, seq)
);
CREATE INDEX mirror_parked_newest ON mirror_parked (parked DESC);
