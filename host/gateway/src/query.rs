//! Reads query strings: strict form decoding, and the `rvt-` parameters of the query gateway.
//!
//! Parameters that are not the gateway's own are kept byte for byte, because an actor may give them any meaning.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use growqr_types::{ActorKey, Failure, KeyError, codes, limits};

/// What every parameter of the query gateway starts with.
const PREFIX: &str = "rvt-";

/// How the query form finds an actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Method {
    /// It must exist.
    Get,
    /// It is made if it does not exist, with this input.
    GetOrCreate(Option<Bytes>),
}

/// An actor that is named by a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) key: ActorKey,
    pub(crate) method: Method,
}

/// The text after percent-decoding; `None` if the encoding is broken or the result is not UTF-8.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let broken = bytes.iter().enumerate().any(|(at, byte)| {
        *byte == b'%' && !bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    if broken {
        return None;
    }
    percent_encoding::percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// The text after form decoding, where `+` is a space.
pub(crate) fn form_decode(text: &str) -> Option<String> {
    percent_decode(&text.replace('+', " "))
}

/// The pairs of a query string as they are, undecoded; empty parts are left out.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|part| !part.is_empty()).map(|part| part.split_once('=').unwrap_or((part, "")))
}

/// Whether a query string makes a gateway path one of the query form.
pub(crate) fn is_query_form(query: &str) -> bool {
    pairs(query).any(|(key, _)| key.starts_with(PREFIX))
}

/// The query string without the gateway's parameters.
pub(crate) fn without_gateway_parameters(query: &str) -> String {
    let kept: Vec<&str> = query.split('&').filter(|part| !part.is_empty() && !part.starts_with(PREFIX)).collect();
    kept.join("&")
}

/// The gateway's parameters as they were given.
#[derive(Default)]
struct Parameters {
    namespace: Option<String>,
    method: Option<String>,
    key: Option<String>,
    pool: Option<String>,
    runner: Option<String>,
    input: Option<String>,
    region: Option<String>,
    crash_policy: Option<String>,
    token: Option<String>,
    skip_ready_wait: Option<String>,
}

impl Parameters {
    fn read(query: &str) -> Result<Self, Failure> {
        let mut parameters = Self::default();
        for (key, value) in pairs(query).filter(|(key, _)| key.starts_with(PREFIX)) {
            let slot = match &key[PREFIX.len()..] {
                "namespace" => &mut parameters.namespace,
                "method" => &mut parameters.method,
                "key" => &mut parameters.key,
                "pool" => &mut parameters.pool,
                "runner" => &mut parameters.runner,
                "input" => &mut parameters.input,
                "region" => &mut parameters.region,
                "crash-policy" => &mut parameters.crash_policy,
                "token" => &mut parameters.token,
                "skip-ready-wait" => &mut parameters.skip_ready_wait,
                _ => return Err(codes::QUERY_INVALID_PARAMS.with("A gateway parameter is not known.")),
            };
            if slot.is_some() {
                return Err(codes::QUERY_DUPLICATE_PARAM.failure());
            }
            *slot = Some(form_decode(value).ok_or_else(|| codes::QUERY_INVALID_PERCENT.failure())?);
        }
        Ok(parameters)
    }

    fn method(&self) -> Result<Method, Failure> {
        let method =
            self.method.as_deref().ok_or_else(|| codes::QUERY_INVALID_PARAMS.with("rvt-method is missing."))?;
        match method {
            "get" => {
                let creating = [&self.input, &self.region, &self.crash_policy, &self.pool, &self.runner];
                if creating.iter().any(|parameter| parameter.is_some()) {
                    return Err(codes::QUERY_GET_DISALLOWED.failure());
                }
                Ok(Method::Get)
            }
            "getOrCreate" => {
                if self.pool.is_none() && self.runner.is_none() {
                    return Err(codes::QUERY_MISSING_POOL.failure());
                }
                if !matches!(self.crash_policy.as_deref(), None | Some("sleep" | "restart" | "destroy")) {
                    return Err(codes::QUERY_INVALID_PARAMS.with("rvt-crash-policy is sleep, restart or destroy."));
                }
                Ok(Method::GetOrCreate(self.input.as_deref().map(input).transpose()?))
            }
            _ => Err(codes::QUERY_INVALID_PARAMS.with("rvt-method is get or getOrCreate.")),
        }
    }
}

fn input(text: &str) -> Result<Bytes, Failure> {
    // A text that is longer than the largest input in base64 is not worth decoding.
    if text.len() > limits::QUERY_INPUT_BYTES_MAX.div_ceil(3) * 4 {
        return Err(codes::INPUT_TOO_LARGE.failure());
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| codes::QUERY_INVALID_BASE64.failure())?;
    if bytes.len() > limits::QUERY_INPUT_BYTES_MAX {
        return Err(codes::INPUT_TOO_LARGE.failure());
    }
    growqr_wire::input_to_json(&bytes).map_err(|_| codes::QUERY_INVALID_CBOR.failure())?;
    Ok(bytes.into())
}

/// The failure that tells of a bad key.
pub(crate) fn key_failure(error: &KeyError) -> Failure {
    match error {
        KeyError::Empty => codes::EMPTY_KEY.failure(),
        KeyError::TooLarge { .. } => codes::KEY_TOO_LARGE.with(error.to_string()),
    }
}

/// Reads the actor that a gateway path of the query form names. `segment` is the path's name part as it came.
pub(crate) fn named(segment: &str, query: &str) -> Result<Named, Failure> {
    let parameters = Parameters::read(query)?;
    if segment.contains('@') {
        return Err(codes::QUERY_PATH_TOKEN.failure());
    }
    let name = percent_decode(segment).ok_or_else(|| codes::QUERY_INVALID_PERCENT.failure())?;
    if name.is_empty() {
        return Err(codes::QUERY_EMPTY_ACTOR_NAME.failure());
    }
    if !matches!(parameters.skip_ready_wait.as_deref(), None | Some("true" | "1" | "false" | "0")) {
        return Err(codes::QUERY_INVALID_PARAMS.with("rvt-skip-ready-wait is true or false."));
    }
    let method = parameters.method()?;
    let namespace =
        parameters.namespace.ok_or_else(|| codes::QUERY_INVALID_PARAMS.with("rvt-namespace is missing."))?;
    let key =
        ActorKey::from_query(parameters.key.as_deref().unwrap_or_default()).map_err(|error| key_failure(&error))?;
    Ok(Named { namespace, name, key, method })
}
