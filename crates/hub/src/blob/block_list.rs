//! The body of Put Block List: `<BlockList><Latest>id</Latest>…</BlockList>`.

use super::reply::Refusal;
use muster_model::files::{BlockId, BlockPlace, MAX_BLOCKS};
use quick_xml::{Reader, events::Event};

/// Reads a list. Entities and what is not an entry are refused, so that nothing can grow.
pub(super) fn parse(text: &[u8]) -> Result<Vec<(BlockPlace, BlockId)>, Refusal> {
    let bad = || Refusal::new(400, "InvalidXmlDocument", "the body is no list of blocks");
    let text = std::str::from_utf8(text).map_err(|_| bad())?;
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let (mut list, mut depth, mut place, mut id) = (Vec::new(), 0, None, String::new());
    loop {
        match reader.read_event().map_err(|_| bad())? {
            Event::Decl(_) | Event::Comment(_) => {}
            Event::Start(tag) => {
                match (depth, tag.name().as_ref(), list.len() < MAX_BLOCKS) {
                    (0, b"BlockList", _) => {}
                    (1, name, true) => place = Some(place_of(name).ok_or_else(bad)?),
                    (1, _, false) => return Err(Refusal::new(400, "BlockListTooLong", "the list has too many blocks")),
                    _ => return Err(bad()),
                }
                depth += 1;
            }
            Event::Empty(tag) if depth == 0 && tag.name().as_ref() == b"BlockList" => return Ok(list),
            Event::Text(part) if depth == 2 => id.push_str(&part.decode().map_err(|_| bad())?),
            Event::Text(part) if part.iter().all(u8::is_ascii_whitespace) => {}
            Event::End(_) => {
                depth -= 1;
                if let Some(place) = place.take() {
                    let wrong = || Refusal::new(400, "InvalidBlockId", "a block id is base64 of 1 to 64 bytes");
                    list.push((place, BlockId::parse(id.trim()).ok_or_else(wrong)?));
                    id.clear();
                } else if depth == 0 {
                    return Ok(list);
                }
            }
            // Also the end of a body that is not whole.
            _ => return Err(bad()),
        }
    }
}

fn place_of(name: &[u8]) -> Option<BlockPlace> {
    match name {
        b"Latest" => Some(BlockPlace::Latest),
        b"Uncommitted" => Some(BlockPlace::Uncommitted),
        b"Committed" => Some(BlockPlace::Committed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Vec<(BlockPlace, String)>, &'static str> {
        let list = parse(text.as_bytes()).map_err(|refusal| refusal.code)?;
        Ok(list.into_iter().map(|(place, id)| (place, id.as_str().to_owned())).collect())
    }

    #[test]
    fn lists_of_all_clients_are_read() {
        let python =
            "<?xml version='1.0' encoding='utf-8'?>\n<BlockList><Latest>AAAA</Latest><Latest>BBBB</Latest></BlockList>";
        let latest = |id: &str| (BlockPlace::Latest, id.to_owned());
        assert_eq!(read(python), Ok(vec![latest("AAAA"), latest("BBBB")]));
        let spaced =
            "\u{feff}<BlockList>\r\n  <Uncommitted> AA== </Uncommitted>\n  <Committed>BBBB</Committed>\n</BlockList>\n";
        let expected = vec![(BlockPlace::Uncommitted, "AA==".to_owned()), (BlockPlace::Committed, "BBBB".to_owned())];
        assert_eq!(read(spaced), Ok(expected));
        assert_eq!(read("<BlockList/>"), Ok(vec![]));
        assert_eq!(read("<BlockList></BlockList>"), Ok(vec![]));
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "",
            "{}",
            "<BlockList>",
            "<BlockList><Latest>AAAA</Latest>",
            "<BlockList><Latest>AAAA</Uncommitted></BlockList>",
            "<BlockList><Newest>AAAA</Newest></BlockList>",
            "<BlockList>AAAA</BlockList>",
            "<BlockList><Latest><Latest>AAAA</Latest></Latest></BlockList>",
            "<Latest>AAAA</Latest>",
            "<!DOCTYPE a [<!ENTITY b 'AAAA'>]><BlockList><Latest>&b;</Latest></BlockList>",
            "<BlockList><Latest>&lt;</Latest></BlockList>",
            "<BlockList><Latest><![CDATA[AAAA]]></Latest></BlockList>",
        ] {
            assert_eq!(read(bad), Err("InvalidXmlDocument"), "{bad}");
        }
        assert_eq!(parse(&[0xff, 0xfe]).err().map(|refusal| refusal.code), Some("InvalidXmlDocument"));
        for bad in ["", "*", "../.."] {
            assert_eq!(read(&format!("<BlockList><Latest>{bad}</Latest></BlockList>")), Err("InvalidBlockId"), "{bad}");
        }
        let long = format!("<BlockList>{}</BlockList>", "<Latest>AAAA</Latest>".repeat(MAX_BLOCKS + 1));
        assert_eq!(read(&long), Err("BlockListTooLong"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "[<>/&;BlockListLatest ]*") {
            let _ = parse(&bytes);
            let _ = parse(format!("<BlockList>{text}").as_bytes());
        }
    }
}
