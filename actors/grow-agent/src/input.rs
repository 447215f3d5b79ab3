//! What callers may say. Everything else has a stable code of the group `user`.

use growqr_actor_sdk::prelude::*;

/// Bytes of one message of a user. The whole call must fit into what the host carries.
pub const TEXT_BYTES_MAX: usize = 32 << 10;
/// Characters of a title.
pub const TITLE_CHARACTERS_MAX: usize = 200;
/// Characters of a title that is made of a message.
const TITLE_FROM_TEXT_CHARACTERS_MAX: usize = 80;
/// Letters of a client's message id.
const CLIENT_MESSAGE_ID_LEN_MAX: usize = 128;

/// What is wrong with a call.
#[derive(Debug, ActorError)]
pub enum Refused {
    #[fail(message = "the text is empty")]
    TextEmpty,
    #[fail(message = "the text has more than 32768 bytes")]
    TextTooLong,
    #[fail(message = "the text has control characters other than line breaks and tabs")]
    TextControlCharacters,
    #[fail(message = "the title is empty")]
    TitleEmpty,
    #[fail(message = "the title has more than 200 characters")]
    TitleTooLong,
    #[fail(message = "the title has control characters")]
    TitleControlCharacters,
    #[fail(message = "clientMessageId is 1 to 128 letters, digits or signs of ASCII, without spaces")]
    ClientMessageIdInvalid,
    #[fail(message = "this clientMessageId was used for another message")]
    ClientMessageIdReused,
    #[fail(message = "there is no such thread")]
    UnknownThread,
    #[fail(message = "there are 1000 threads; delete some before you begin another")]
    TooManyThreads,
    #[fail(message = "limit is out of its range")]
    LimitInvalid,
}

/// The text of a message.
pub fn text(text: &str) -> Result<(), Refused> {
    if text.trim().is_empty() {
        return Err(Refused::TextEmpty);
    }
    if text.len() > TEXT_BYTES_MAX {
        return Err(Refused::TextTooLong);
    }
    match text.chars().any(|char| char.is_control() && !matches!(char, '\n' | '\r' | '\t')) {
        true => Err(Refused::TextControlCharacters),
        false => Ok(()),
    }
}

/// A title, without the space around it.
pub fn title(title: &str) -> Result<&str, Refused> {
    let title = title.trim();
    if title.is_empty() {
        return Err(Refused::TitleEmpty);
    }
    if title.chars().count() > TITLE_CHARACTERS_MAX {
        return Err(Refused::TitleTooLong);
    }
    match title.chars().any(char::is_control) {
        true => Err(Refused::TitleControlCharacters),
        false => Ok(title),
    }
}

/// The id that a client gives a message.
pub fn client_message_id(id: &str) -> Result<(), Refused> {
    match (1..=CLIENT_MESSAGE_ID_LEN_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(()),
        false => Err(Refused::ClientMessageIdInvalid),
    }
}

/// How many entries a page is to have.
pub fn limit(asked: Option<u32>, default: u32, max: u32) -> Result<u32, Refused> {
    match asked.unwrap_or(default) {
        limit if (1..=max).contains(&limit) => Ok(limit),
        _ => Err(Refused::LimitInvalid),
    }
}

/// The title of a thread that begins with this text: its first line, shortened.
pub fn title_of(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let words: Vec<&str> = line.split_whitespace().collect();
    let line = words.join(" ");
    if line.chars().count() <= TITLE_FROM_TEXT_CHARACTERS_MAX {
        return line;
    }
    let kept: String = line.chars().take(TITLE_FROM_TEXT_CHARACTERS_MAX - 1).collect();
    [kept.trim_end(), "…"].concat()
}
