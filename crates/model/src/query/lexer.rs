//! Text to tokens.

use super::QueryError;
use serde_json::{Number, Value};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A name or a keyword, as it is written.
    Word(String),
    /// A name in `[[…]]`: never a keyword.
    Name(String),
    /// A number or a text.
    Constant(Value),
    /// Anything of `( ) [ ] , . = != <> < <= > >= + - * / %`.
    Sign(&'static str),
}

/// The longer ones first.
const SIGNS: &[&str] = &["!=", "<>", "<=", ">=", "(", ")", "[", "]", ",", ".", "=", "<", ">", "+", "-", "*", "/", "%"];

/// The tokens, each with its place.
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token)>, QueryError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(character) = text[at..].chars().next() {
        let rest = &text[at..];
        let (token, length) = match character {
            _ if character.is_whitespace() => {
                at += character.len_utf8();
                continue;
            }
            '\'' | '"' => string(rest, character).ok_or(QueryError::Expected { at, expected: "the end of a text" })?,
            '0'..='9' => number(rest).ok_or(QueryError::Expected { at, expected: "a number" })?,
            _ if character.is_alphabetic() || "_$".contains(character) => {
                let length = rest.find(|c: char| !(c.is_alphanumeric() || "_$".contains(c))).unwrap_or(rest.len());
                (Token::Word(rest[..length].to_owned()), length)
            }
            '[' if rest.starts_with("[[") => {
                let end = rest.find("]]").ok_or(QueryError::Expected { at, expected: "']]'" })?;
                (Token::Name(rest[2..end].to_owned()), end + 2)
            }
            _ => {
                let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
                let sign = sign.ok_or(QueryError::Expected { at, expected: "a word, a value or an operator" })?;
                (Token::Sign(sign), sign.len())
            }
        };
        tokens.push((at, token));
        at += length;
    }
    Ok(tokens)
}

fn string(text: &str, quote: char) -> Option<(Token, usize)> {
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            _ if character == quote => return Some((Token::Constant(Value::String(value)), at + 1)),
            '\\' => match characters.next()?.1 {
                'u' => {
                    let digits: String = characters.by_ref().take(4).map(|(_, digit)| digit).collect();
                    let code = (digits.len() == 4).then(|| u32::from_str_radix(&digits, 16).ok())??;
                    // Half of a pair is no character.
                    value.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                'n' => value.push('\n'),
                't' => value.push('\t'),
                'r' => value.push('\r'),
                other => value.push(other),
            },
            _ => value.push(character),
        }
    }
    None
}

fn number(text: &str) -> Option<(Token, usize)> {
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        let length = digits.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(digits.len());
        let value = i64::from_str_radix(&digits[..length], 16).ok()?;
        return Some((Token::Constant(value.into()), length + 2));
    }
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let mut length = digits(text);
    let whole = length;
    if let Some(fraction) = text[length..].strip_prefix('.')
        && digits(fraction) > 0
    {
        length += 1 + digits(fraction);
    }
    if let Some(exponent) = text[length..].strip_prefix(['e', 'E']) {
        let sign = usize::from(exponent.starts_with(['+', '-']));
        let count = digits(&exponent[sign..]);
        length += if count > 0 { 1 + sign + count } else { 0 };
    }
    let value = match text[..length].parse::<i64>() {
        Ok(integer) if length == whole => integer.into(),
        _ => Value::Number(Number::from_f64(text[..length].parse().ok()?)?),
    };
    Some((Token::Constant(value), length))
}
