//! The host's configuration: one struct, from a file, the environment and the command line.
//!
//! [`Configuration::read`] takes the file (`rivet.json`) and lays the environment over it; [`check`] says everything that is wrong
//! with the result, at once. The doc comments of the fields are the reference page ([`reference_page`]).
//!
//! Invariant: nothing is ignored. A field or a `GROWQR_` variable that means nothing here is refused by its name. A secret has no
//! default, and none is ever written to a log, an error or an answer ([`Secret`]).
//! Deliberately absent: what the fields bring about; the program that wires the parts passes them on.

mod check;
mod configuration;
mod environment;
mod problem;
mod read;
mod reference;
mod schema;
mod secret;
mod sections;
mod switch;

pub use check::check;
pub use configuration::{Actor, Configuration, Mode};
pub use environment::environment;
pub use problem::{ConfigurationError, Problem};
pub use reference::reference_page;
pub use secret::Secret;
pub use sections::{
    ApiSection, DatabaseSection, IdentityProvider, IdentitySection, LogFormat, LogsSection, MetricsSection,
    MirrorSection, TracesSection,
};
pub use switch::Switch;
