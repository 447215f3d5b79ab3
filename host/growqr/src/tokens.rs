//! `growqr token`, `growqr operator-token` and `growqr session`: tokens for developers and operators, and the end of sessions.

use crate::configured::Arguments;
use crate::database;
use crate::identity_store::DatabaseOperators;
use anyhow::{Context, Result, bail};
use growqr_config::{Configuration, IdentityProvider, environment};
use growqr_identity::issuer::{Issuer, Wish};
use growqr_identity::operators::{self, OperatorRecord, OperatorStore};
use growqr_identity::{Revocation, Scope};
use growqr_postgres::{Database, Readiness};
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long the database may take to answer a command.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the host may take to answer a command.
const HOST_TIMEOUT: Duration = Duration::from_secs(10);
/// Milliseconds of a day.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Arguments of `growqr token`.
#[derive(clap::Args)]
pub struct Token {
    /// The user
    #[arg(long)]
    user: String,
    /// The session, to refresh its sockets; a new one if none is named
    #[arg(long)]
    session: Option<String>,
    /// How long the token lasts [default: 3600]
    #[arg(long, value_name = "SECONDS")]
    lifetime: Option<u64>,
    /// The data folder of the host; the one of the deployment if none is named
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The deployment; `rivet.json` in the current folder if none is named
    #[arg(long, value_name = "FILE", env = "GROWQR_CONFIG")]
    config: Option<PathBuf>,
    /// Print as JSON, with the session and the end
    #[arg(long)]
    json: bool,
}

/// Prints a token of the development issuer. The host need not run: whoever can read its data folder can sign.
pub fn token(arguments: Token) -> Result<()> {
    let data_dir = match arguments.data_dir {
        Some(data_dir) => data_dir,
        None => development_folder(arguments.config.as_deref())?,
    };
    let issuer = Issuer::open(&data_dir)
        .with_context(|| format!("the key of the development issuer in {} can't be used", data_dir.display()))?;
    let Token { user, session, lifetime, json, .. } = arguments;
    let issued = issuer.issue(&Wish { user, session, lifetime_seconds: lifetime }, now_ms())?;
    if json {
        println!("{}", serde_json::to_string(&issued)?);
    } else {
        println!("{}", issued.token);
    }
    Ok(())
}

fn development_folder(config: Option<&std::path::Path>) -> Result<PathBuf> {
    let configuration = Configuration::read(config, &environment())?;
    match configuration.identity() {
        Some(section) if section.provider == IdentityProvider::Development => Ok(configuration.data_dir),
        Some(_) => bail!("this deployment takes tokens of Clerk, and those come from Clerk"),
        None => bail!("identity is off in this deployment; it takes no tokens"),
    }
}

/// Commands for the tokens of operators.
#[derive(clap::Subcommand)]
pub enum OperatorToken {
    /// Make a token; it is shown once
    Create {
        /// What it is for
        #[arg(long)]
        name: String,
        /// What it may do: actors, users, sessions, deployments, operation; several with commas
        #[arg(long, value_delimiter = ',', required = true)]
        scope: Vec<Scope>,
        /// After how many days it ends by itself
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=3650))]
        expires: Option<u64>,
        /// Print as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        arguments: Arguments,
    },
    /// List all tokens, revoked ones included
    List {
        /// Print as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        arguments: Arguments,
    },
    /// Revoke a token
    Revoke {
        /// Its id
        id: String,
        #[command(flatten)]
        arguments: Arguments,
    },
}

/// Runs a command. It works on the database; the host finds out by itself.
pub fn operator_token(command: OperatorToken) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(async {
        match command {
            OperatorToken::Create { name, scope, expires, json, arguments } => {
                let expires_ms = expires.map(|days| now_ms() + days * DAY_MS);
                let made = operators::make(&name, &scope, expires_ms, now_ms())?;
                store(&arguments).await?.insert(made.hash, made.record.clone()).await?;
                if json {
                    println!("{}", json!({"id": made.record.id, "token": made.token}));
                } else {
                    eprintln!("token {} may do: {}", made.record.id, scopes(&made.record));
                    eprintln!("it is shown only now:");
                    println!("{}", made.token);
                }
            }
            OperatorToken::List { json, arguments } => list(&store(&arguments).await?.list().await?, json),
            OperatorToken::Revoke { id, arguments } => {
                if !store(&arguments).await?.revoke(&id, now_ms()).await? {
                    bail!("there is no token {id:?} that could be revoked\nhint: growqr operator-token list");
                }
                eprintln!("revoked; hosts refuse it within {} seconds", operators::FRESH_MS / 1000);
            }
        }
        Ok(())
    })
}

fn scopes(record: &OperatorRecord) -> String {
    record.scopes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn list(records: &[OperatorRecord], as_json: bool) {
    let row = |record: &OperatorRecord| {
        json!({
            "id": record.id,
            "name": record.name,
            "scopes": record.scopes.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "created": record.created_ms,
            "expires": record.expires_ms,
            "lastUsed": record.last_used_ms,
            "revoked": record.revoked_ms,
        })
    };
    if as_json {
        println!("{}", serde_json::Value::Array(records.iter().map(row).collect()));
        return;
    }
    for record in records {
        let state = match (record.revoked_ms, record.expires_ms) {
            (Some(_), _) => "revoked",
            (None, Some(expires)) if expires <= now_ms() => "over",
            _ => "valid",
        };
        println!("{}  {state:<7}  {}  ({})", record.id, record.name, scopes(record));
    }
}

async fn store(arguments: &Arguments) -> Result<DatabaseOperators> {
    let configuration = arguments.read()?;
    let options = database::options(&configuration)?
        .context("this deployment has no database, and tokens of operators are kept in one")?;
    let database = Database::new(options);
    match tokio::time::timeout(DATABASE_TIMEOUT, database.prepare()).await {
        Ok(Readiness::Ready) => Ok(DatabaseOperators(database)),
        Ok(Readiness::Unusable(reason)) => bail!("the database can't be used: {reason}"),
        Ok(Readiness::Preparing) | Err(_) => {
            bail!("the database does not answer\nhint: a private database runs only while its host does")
        }
    }
}

/// Commands for sessions.
#[derive(clap::Subcommand)]
pub enum Session {
    /// End one session, or all that a user has now, and close their sockets
    #[command(group(clap::ArgGroup::new("whose").required(true)))]
    Revoke {
        /// The session
        #[arg(long, group = "whose")]
        session: Option<String>,
        /// The user
        #[arg(long, group = "whose")]
        user: Option<String>,
        /// Address of the host
        #[arg(long, default_value = "http://127.0.0.1:6420")]
        url: String,
        /// A token of an operator with the scope `sessions`
        #[arg(long, env = "GROWQR_OPERATOR_TOKEN", hide_env_values = true)]
        token: String,
    },
}

/// Runs a command. It asks the running host.
pub fn session(command: Session) -> Result<()> {
    let Session::Revoke { session, user, url, token } = command;
    let revocation = match (session, user) {
        (Some(session), None) => Revocation::Session(session),
        (None, Some(user)) => Revocation::User(user),
        _ => bail!("name a session or a user"),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(async {
        let client = reqwest::Client::builder().timeout(HOST_TIMEOUT).build().context("no HTTP client")?;
        let url = format!("{}/sessions/revoke", url.trim_end_matches('/'));
        let response = client.post(url).bearer_auth(token).json(&revocation).send().await;
        let response = response.map_err(reqwest::Error::without_url).context("the host can't be reached")?;
        let status = response.status();
        let body: serde_json::Value = response.json().await.unwrap_or_default();
        if !status.is_success() {
            let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
            bail!("{}.{}: {}", text("group"), text("code"), text("message"));
        }
        println!("closed {} sockets", body["closed"]);
        Ok(())
    })
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
