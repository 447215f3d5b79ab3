//! The Postgres that the host works with: a server of its own or the operator's, migrations, the pool.
