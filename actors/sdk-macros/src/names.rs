//! Names on the wire.

/// `get_count` and `GetCount` become `getCount`.
pub fn lower_camel_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut upper = false;
    for character in name.trim_start_matches("r#").chars() {
        match character {
            '_' => upper = !out.is_empty(),
            _ if out.is_empty() => out.extend(character.to_lowercase()),
            _ if upper => {
                out.extend(character.to_uppercase());
                upper = false;
            }
            _ => out.push(character),
        }
    }
    out
}

/// `OutOfCredit` becomes `out_of_credit`.
pub fn snake_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for character in name.chars() {
        if character.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(character.to_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_on_the_wire_are_lower_camel_case() {
        for (name, expected) in [
            ("get_count", "getCount"),
            ("GrowAgent", "growAgent"),
            ("increment", "increment"),
            ("r#loop", "loop"),
            ("_hidden_one", "hiddenOne"),
            ("on_2_legs", "on2Legs"),
        ] {
            assert_eq!(lower_camel_case(name), expected);
        }
    }

    #[test]
    fn error_codes_are_snake_case() {
        assert_eq!(snake_case("OutOfCredit"), "out_of_credit");
    }
}
