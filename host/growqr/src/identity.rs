//! Who may ask: the identity of a deployment, wired from its configuration.

use crate::identity_store::{DatabaseOperators, DatabaseUsers};
use anyhow::{Context, Result};
use growqr_config::{Configuration, IdentityProvider, IdentitySection};
use growqr_identity::issuer::Issuer;
use growqr_identity::keys::{HttpKeys, Keys};
use growqr_identity::operators::OperatorStore;
use growqr_identity::users::Users;
use growqr_identity::{Identity, IdentityInput, Verifier, VerifierSettings};
use growqr_postgres::Database;
use growqr_seam::Clock;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Identity in use.
pub struct Opened {
    /// Says who asks.
    pub identity: Arc<Identity>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// Starts it. None when the deployment has identity switched off.
pub fn open(configuration: &Configuration, database: Option<&Database>, clock: Clock) -> Result<Option<Opened>> {
    let Some(section) = configuration.identity() else {
        tracing::warn!("identity is off: whoever reaches this address may do everything");
        return Ok(None);
    };
    let (verifier, issuer) = match section.provider {
        IdentityProvider::Clerk => (clerk(&section)?, None),
        IdentityProvider::Development => {
            tracing::warn!(
                "this host issues tokens to whoever asks on this machine; `growqr token --user NAME` prints one"
            );
            let issuer = Issuer::open(&configuration.data_dir).context("the development issuer has no key")?;
            (Verifier::new(issuer.settings(&section.authorized_parties), issuer.keys()), Some(issuer))
        }
    };
    let stop = CancellationToken::new();
    let mut tasks = Vec::new();
    let users = database.map(|database| {
        let (users, recorder) = Users::new(Arc::new(DatabaseUsers(database.clone())));
        tasks.push(tokio::spawn(recorder.run(stop.clone())));
        users
    });
    let operators = database.map(|database| Arc::new(DatabaseOperators(database.clone())) as Arc<dyn OperatorStore>);
    let refresh_within = Duration::from_secs(section.refresh_within_seconds);
    let identity = Identity::new(IdentityInput { verifier, issuer, operators, users, refresh_within, clock });
    tasks.push(tokio::spawn({
        let (identity, stop) = (identity.clone(), stop.clone());
        async move { identity.run(stop).await }
    }));
    Ok(Some(Opened { identity, stop, tasks }))
}

fn clerk(section: &IdentitySection) -> Result<Verifier> {
    let issuer = section.issuer.clone().context("identity.issuer is missing")?;
    let keys = match (&section.jwks_url, &section.pem, &section.pem_file) {
        (Some(url), ..) => Keys::fetched(Arc::new(HttpKeys::new(url).map_err(anyhow::Error::msg)?)),
        (None, Some(pem), _) => Keys::pem(pem).map_err(anyhow::Error::msg).context("identity.pem")?,
        (None, None, Some(file)) => {
            let pem = std::fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
            Keys::pem(&pem).map_err(anyhow::Error::msg).with_context(|| file.display().to_string())?
        }
        (None, None, None) => anyhow::bail!("identity says nowhere where the issuer's keys are"),
    };
    Ok(Verifier::new(VerifierSettings { issuer, authorized_parties: section.authorized_parties.clone() }, keys))
}

impl Opened {
    /// Stops what runs in the background. Before the database is closed.
    pub async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            // A task that panicked has nothing more to lose.
            let _ = task.await;
        }
    }
}
