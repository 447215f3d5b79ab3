//! Carries what actors made durable into Postgres, once and in order.
