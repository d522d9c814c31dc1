//! The little Markdown that a text tile understands: paragraphs, lists, **bold**, *emphasis* and `code`. No HTML. Pure.

/// A piece of a text tile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// A heading.
    Heading(Vec<Span>),
    /// A paragraph.
    Paragraph(Vec<Span>),
    /// A list.
    List(Vec<Vec<Span>>),
}

/// A run of letters that look the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Span {
    /// Plain.
    Plain(String),
    /// Bold.
    Strong(String),
    /// Emphasised.
    Emphasis(String),
    /// As typed.
    Code(String),
}

/// Reads a text. Anything that is not understood stands as it was typed.
pub fn parse(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut paragraph = String::new();
    for line in text.lines().map(str::trim) {
        let heading = line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#'));
        let item = line.strip_prefix("- ").or_else(|| line.strip_prefix("* "));
        if heading.is_some() || item.is_some() || line.is_empty() {
            end_paragraph(&mut paragraph, &mut blocks);
        }
        match (heading, item) {
            (Some(heading), _) => blocks.push(Block::Heading(spans(heading))),
            (None, Some(item)) => match blocks.last_mut() {
                Some(Block::List(items)) => items.push(spans(item)),
                _ => blocks.push(Block::List(vec![spans(item)])),
            },
            (None, None) => {
                if !paragraph.is_empty() {
                    paragraph.push(' ');
                }
                paragraph.push_str(line);
            }
        }
    }
    end_paragraph(&mut paragraph, &mut blocks);
    blocks
}

fn end_paragraph(paragraph: &mut String, blocks: &mut Vec<Block>) {
    if !paragraph.is_empty() {
        blocks.push(Block::Paragraph(spans(paragraph)));
        paragraph.clear();
    }
}

fn spans(text: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        match marked(rest) {
            Some((span, after)) => {
                if !plain.is_empty() {
                    spans.push(Span::Plain(std::mem::take(&mut plain)));
                }
                spans.push(span);
                rest = after;
            }
            None => {
                let mut letters = rest.chars();
                plain.extend(letters.next());
                rest = letters.as_str();
            }
        }
    }
    if !plain.is_empty() {
        spans.push(Span::Plain(plain));
    }
    spans
}

/// A marked run at the start of the text, and what comes after it.
fn marked(text: &str) -> Option<(Span, &str)> {
    let between = |mark: &str| {
        let (inner, after) = text.strip_prefix(mark)?.split_once(mark)?;
        let whole = !inner.is_empty() && !inner.starts_with(' ') && !inner.ends_with(' ');
        whole.then(|| (inner.to_owned(), after))
    };
    if let Some((inner, after)) = between("**") {
        return Some((Span::Strong(inner), after));
    }
    if let Some((inner, after)) = between("`") {
        return Some((Span::Code(inner), after));
    }
    between("*").map(|(inner, after)| (Span::Emphasis(inner), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Span {
        Span::Plain(text.to_owned())
    }

    #[test]
    fn blocks_and_marks_are_read() {
        let blocks = parse("# Hall 2\nAbove **80 °C**\nit *may* stop.\n\n- `a`\n- b");
        assert_eq!(
            blocks,
            [
                Block::Heading(vec![plain("Hall 2")]),
                Block::Paragraph(vec![
                    plain("Above "),
                    Span::Strong("80 °C".to_owned()),
                    plain(" it "),
                    Span::Emphasis("may".to_owned()),
                    plain(" stop."),
                ]),
                Block::List(vec![vec![Span::Code("a".to_owned())], vec![plain("b")]]),
            ]
        );
    }

    #[test]
    fn what_is_not_understood_stands_as_typed() {
        for text in ["2 * 3 * 4", "**open", "<b>x</b>", "a_b_c", "`"] {
            assert_eq!(parse(text), [Block::Paragraph(vec![plain(text)])]);
        }
        assert!(parse("  \n ").is_empty());
    }
}
