//! Shapes of the tags that this host has beside those of the official client.
//!
//! Each function reads what follows after the tag's name and comma, to the end of the array. It gives nothing where the array has
//! another shape and therefore is no tag; the reader then stands anywhere.

use crate::ValueError;
use crate::from_cbor::DATE_MS_MAX;
use crate::json::{Number, Reader};
use std::borrow::Cow;

/// A text: `"text"]`.
pub(crate) fn text<'t>(probe: &mut Reader<'t>) -> Result<Option<Cow<'t, str>>, ValueError> {
    if probe.peek() != Some(b'"') {
        return Ok(None);
    }
    let text = probe.string()?;
    Ok(probe.take(b']').then_some(text))
}

/// Milliseconds of `$Date`, within what a JavaScript date can have: `ms]`.
pub(crate) fn date(probe: &mut Reader<'_>) -> Result<Option<i64>, ValueError> {
    if !matches!(probe.peek(), Some(b'-' | b'0'..=b'9')) {
        return Ok(None);
    }
    let Number::Integer(ms) = probe.number()? else { return Ok(None) };
    let ms = i64::try_from(ms).ok().filter(|ms| ms.unsigned_abs() as f64 <= DATE_MS_MAX);
    Ok(ms.filter(|_| probe.take(b']')))
}

/// The float of `$Number`: `"NaN"]`.
pub(crate) fn special_number(probe: &mut Reader<'_>) -> Result<Option<f64>, ValueError> {
    let Some(text) = text(probe)? else { return Ok(None) };
    Ok(match text.as_ref() {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        "-0" => Some(-0.0),
        _ => None,
    })
}

/// The number of pairs of a `$Map`, whose array lies in `depth` others: `[[key,value],...]]`.
pub(crate) fn map(probe: &mut Reader<'_>, depth: usize) -> Result<Option<u64>, ValueError> {
    if probe.peek() != Some(b'[') {
        return Ok(None);
    }
    probe.open(b'[', depth + 1)?;
    let mut count = 0;
    let mut more = !probe.take(b']');
    while more {
        if probe.peek() != Some(b'[') {
            return Ok(None);
        }
        probe.open(b'[', depth + 2)?;
        if probe.peek() == Some(b']') {
            return Ok(None);
        }
        probe.skip_value(depth + 3)?;
        if !probe.take(b',') {
            return Ok(None);
        }
        probe.skip_value(depth + 3)?;
        if !probe.take(b']') {
            return Ok(None);
        }
        count += 1;
        more = probe.next_item(b']')?;
    }
    Ok(probe.take(b']').then_some(count))
}

/// The number of a `$CborTag` and where its content begins, if its array lies in `depth` others: `[number,value]]`.
pub(crate) fn cbor_tag<'t>(probe: &mut Reader<'t>, depth: usize) -> Result<Option<(u64, Reader<'t>)>, ValueError> {
    if !probe.take(b'[') || !probe.peek().is_some_and(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    let Number::Integer(tag) = probe.number()? else { return Ok(None) };
    let Ok(tag) = u64::try_from(tag) else { return Ok(None) };
    if !probe.take(b',') {
        return Ok(None);
    }
    let content = *probe;
    probe.skip_value(depth + 2)?;
    Ok((probe.take(b']') && probe.take(b']')).then_some((tag, content)))
}
