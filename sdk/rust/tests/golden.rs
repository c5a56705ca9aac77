//! Each golden vector of the Core's tests is decoded or made here. A vector that this test does not
//! know is a failure.

use std::{fs, path::Path};

use motte::wire::{self, core, failure, state, task, Frame, Header, Run, HEADER};
use motte::{Config, Identity, Query};

/// Reads the vectors: the name of each and its bytes.
fn vectors() -> Vec<(String, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../core/taskwire/testdata");
    let mut vectors = Vec::new();
    for entry in fs::read_dir(&dir).expect("the golden vectors are in core/taskwire/testdata") {
        let path = entry.unwrap().path();
        if path.extension().map_or(false, |e| e == "hex") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_string();
            vectors.push((name, bytes(&fs::read_to_string(&path).unwrap())));
        }
    }
    assert!(!vectors.is_empty(), "{} has no vectors", dir.display());
    vectors
}

fn bytes(text: &str) -> Vec<u8> {
    let digits: String = text.lines().filter(|line| !line.starts_with('#')).collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

/// Returns the identity whose bytes count up from `first`.
fn id(first: u8) -> Identity {
    let mut bytes = [0; Identity::SIZE];
    bytes.iter_mut().zip(first..).for_each(|(byte, n)| *byte = n);
    bytes.into()
}

/// Returns the frame from the Core that a vector holds, or none if it is one of the Task.
fn from_core(name: &str) -> Option<Frame<'static>> {
    Some(match name {
        "configure" => Frame::Configure(Config {
            data_type: 3,
            ordered: true,
            max_results: 1000,
            shelf: 1 << 30,
            options: br#"{"path":"/age"}"#.to_vec(),
        }),
        "insert" => {
            Frame::Insert { lsn: 41, id: id(0x20), owner: 0xc0c1_c2c3_c4c5_c6c7, input: br#"{"age":36}"# }
        }
        "remove" => Frame::Remove { lsn: 42, id: id(0x60) },
        "search" => Frame::Search(Query {
            limit: 10,
            owner: 0,
            after: vec![],
            within: vec![],
            predicate: b">= 30 and < 40".to_vec(),
        }),
        "search-after" => Frame::Search(Query {
            limit: 2,
            owner: 0xc0c1_c2c3_c4c5_c6c7,
            after: vec![id(0x80), id(0xa0)],
            within: vec![],
            predicate: b">= 30 and < 40".to_vec(),
        }),
        "search-within" => Frame::Search(Query {
            limit: 10,
            owner: 0,
            after: vec![],
            within: vec![id(0x20), id(0x40)],
            predicate: b">= 30 and < 40".to_vec(),
        }),
        "void" => Frame::Void { lsn: 43, id: id(0x60) },
        "stored" => Frame::Stored { number: 7, blob: b"blob" },
        "save" => Frame::Save { room: 4096, anew: false },
        "save-anew" => Frame::Save { room: 131_056, anew: true },
        "runs" => Frame::Runs(vec![
            Run { last: [0x80; 16], count: 3, sum: 1 << 64 | 2 },
            Run { last: [0xff; 16], count: 0, sum: 0 },
        ]),
        "list" => Frame::List { first: [0; 16], last: [0x80; 16], ids: vec![id(0x20), id(0x40)] },
        _ => return None,
    })
}

/// Makes the frame of a Task that a vector holds.
fn from_task(name: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let ids = [id(0x20), id(0x40)];
    match name {
        "applied" => wire::append(&mut out, task::APPLIED, 3, &[]),
        "found" => wire::append_found(&mut out, 4, state::LAST, &ids[..1]),
        "found-nothing" => wire::append_found(&mut out, 4, state::LAST, &[]),
        "found-continues" => wire::append_found(&mut out, 4, state::CONTINUES, &ids),
        "found-more" => wire::append_found(&mut out, 5, state::MORE, &ids),
        "failed" => wire::append(&mut out, task::FAILED, 2, &[failure::INPUT]),
        "failed-expensive" => wire::append(&mut out, task::FAILED, 4, &[failure::EXPENSIVE]),
        "failed-gone" => wire::append(&mut out, task::FAILED, 5, &[failure::GONE]),
        "blob" => wire::append_blob(&mut out, 7, 7, b"blob"),
        "set" => wire::append_set(&mut out, 7, Some(&[3, 5])),
        "set-kept" => wire::append_set(&mut out, 7, None),
        "differ" => wire::append(&mut out, task::DIFFER, 9, &wire::bitmap([false, true].into_iter())),
        "lacks" => wire::append(&mut out, task::LACKS, 10, &wire::bitmap([true, false].into_iter())),
        _ => return None,
    }
    Some(out)
}

fn decode(frame: &[u8]) -> Result<(Header, Frame<'_>), wire::Broken> {
    let mut head = [0; HEADER];
    head.copy_from_slice(&frame[..HEADER]);
    let header = Header::decode(&head)?;
    if header.len != frame.len() - HEADER {
        return Err(wire::Broken("the test has another length"));
    }
    Frame::decode(&header, &frame[HEADER..]).map(|decoded| (header, decoded))
}

#[test]
fn every_golden_vector_is_as_it_was() {
    for (name, bytes) in vectors() {
        match (from_core(&name), from_task(&name)) {
            (Some(want), _) => assert_eq!(decode(&bytes).map(|(_, frame)| frame), Ok(want), "{}", name),
            (_, Some(made)) => assert_eq!(made, bytes, "{}", name),
            _ => panic!("this test does not know the vector {}", name),
        }
    }
}

#[test]
fn lengths_at_the_limit_are_accepted_and_others_refused() {
    let allowed = [
        (core::CONFIGURE, 14, 1_048_590),
        (core::INSERT, 48, 16_777_264),
        (core::REMOVE, 40, 40),
        (core::SEARCH, 17, 3_146_001),
        (core::STORED, 9, 131_064),
        (core::SAVE, 5, 5),
        (core::RUNS, 36, 147_456),
        (core::LIST, 32, 131_104),
        (core::VOID, 40, 40),
    ];
    for (kind, least, most) in allowed {
        for (len, want) in [(least, true), (most, true), (least - 1, false), (most + 1, false)] {
            let mut head = Vec::new();
            wire::append_header(&mut head, kind, len, 1);
            let decoded = Header::decode(head[..].try_into().unwrap());
            assert_eq!(decoded.is_ok(), want, "type {} with {} bytes", kind, len);
        }
    }
    for kind in [0, 10, task::APPLIED] {
        let mut head = Vec::new();
        wire::append_header(&mut head, kind, 40, 1);
        assert!(Header::decode(head[..].try_into().unwrap()).is_err(), "type {} is none of the Core", kind);
    }
}

/// Any change of a vector is refused, or decodes to a frame. None ends the process.
#[test]
fn altered_frames_never_panic() {
    for (_, bytes) in vectors() {
        for at in 0..bytes.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut altered = bytes.clone();
                altered[at] ^= flip;
                let _ = decode(&altered);
                if at >= HEADER {
                    let _ = decode(&altered[..at]);
                }
            }
        }
    }
}
