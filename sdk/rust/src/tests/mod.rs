//! Tests of the whole kit. This file has conversations of a few frames; `world` plays the Core's part
//! of a shelf, and `histories` lets it run through random histories.

mod histories;
mod world;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use crate::wire::{self, core, failure, state, task, HEADER};
use crate::*;

/// An index that finds objects by the first byte of their input. It refuses inputs that begin
/// with `!`, and has nothing to index of those that begin with `-`.
#[derive(Default)]
struct First {
    entries: BTreeMap<Value, (Identity, Vec<u8>)>,
}

impl Index for First {
    fn configure(&mut self, config: &Config) -> Result<(), Refused> {
        if config.options == b"wrong" {
            return Err(Refused);
        }
        Ok(())
    }

    fn insert(&mut self, id: Identity, _: Owner, input: &[u8]) -> Input {
        self.remove(&id.value());
        match input.first() {
            None | Some(b'-') => Input::Nothing,
            Some(b'!') => Input::Refused,
            Some(_) => {
                self.entries.insert(id.value(), (id, input.to_vec()));
                Input::Held
            }
        }
    }

    fn remove(&mut self, value: &Value) {
        self.entries.remove(value);
    }

    fn search<'a>(&'a self, query: &'a Query) -> Result<Answer<'a>, Failure> {
        let first = *query.predicate.first().ok_or(Failure::Query)?;
        if first == b'$' {
            return Err(Failure::TooExpensive);
        }
        let matching = self.entries.values().filter(move |(_, input)| input[0] == first);
        page(matching.map(|(id, _)| *id), &query.after)
    }

    fn save(&self, value: &Value, entry: &mut Vec<u8>) -> bool {
        let saved = self.entries.get(value).map(|(_, input)| entry.extend_from_slice(input));
        saved.is_some()
    }

    fn load(&mut self, id: Identity, owner: Owner, entry: &[u8]) -> bool {
        self.insert(id, owner, entry) == Input::Held
    }
}

/// A channel whose input is given, and whose output is kept.
struct Channel<'a> {
    input: &'a [u8],
    output: Vec<u8>,
}

impl Read for Channel<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let some = self.input.len().min(buf.len()).min(1 + self.input.len() / 2); // in several parts
        let (now, later) = self.input.split_at(some);
        buf[..some].copy_from_slice(now);
        self.input = later;
        Ok(some)
    }
}

impl Write for Channel<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.output.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Answered = (u8, u64, Vec<u8>); // type, number, payload

/// Runs a fresh index over these frames, which are numbered here.
fn exchange(frames: &[(u8, Vec<u8>)]) -> io::Result<Vec<Answered>> {
    let mut input = Vec::new();
    for ((kind, payload), seq) in frames.iter().zip(1..) {
        wire::append(&mut input, *kind, seq, payload);
    }
    let mut channel = Channel { input: &input, output: Vec::new() };
    run(&mut channel, First::default())?;
    Ok(split(&channel.output))
}

fn split(mut output: &[u8]) -> Vec<Answered> {
    let mut frames = Vec::new();
    while !output.is_empty() {
        let len = u32::from_be_bytes(output[4..8].try_into().unwrap()) as usize;
        let seq = u64::from_be_bytes(output[8..16].try_into().unwrap());
        frames.push((output[3], seq, output[HEADER..HEADER + len].to_vec()));
        output = &output[HEADER + len..];
    }
    frames
}

fn configure(shelf: u64, options: &[u8]) -> (u8, Vec<u8>) {
    (core::CONFIGURE, [&[0, 0, 0, 0, 0, 100], &shelf.to_be_bytes()[..], options].concat())
}

fn insert(id: Identity, input: &[u8]) -> (u8, Vec<u8>) {
    (core::INSERT, [&[0; 8], &id.as_bytes()[..], &7u64.to_be_bytes(), input].concat())
}

fn remove(id: Identity) -> (u8, Vec<u8>) {
    (core::REMOVE, [&[0; 8], &id.as_bytes()[..]].concat())
}

fn search(limit: u32, after: &[Identity], predicate: &[u8]) -> (u8, Vec<u8>) {
    search_within(limit, after, &[], predicate)
}

fn search_within(limit: u32, after: &[Identity], within: &[Identity], predicate: &[u8]) -> (u8, Vec<u8>) {
    let bytes = |ids: &[Identity]| -> Vec<u8> { ids.iter().flat_map(|id| *id.as_bytes()).collect() };
    let head = [&limit.to_be_bytes()[..], &[0; 8], &[after.len() as u8], &bytes(after)].concat();
    let candidates = [&(within.len() as u32).to_be_bytes()[..], &bytes(within)].concat();
    (core::SEARCH, [&head[..], &candidates, predicate].concat())
}

fn number(n: u64) -> Identity {
    let spread = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut value = [0; 16];
    value[..8].copy_from_slice(&spread.to_be_bytes());
    Identity::new(value, [1; 16])
}

fn version(n: u64, version: u64) -> Identity {
    let mut tag = [0; 16];
    tag[..8].copy_from_slice(&version.to_be_bytes());
    tag[15] = 1;
    Identity::new(number(n).value(), tag)
}

#[test]
fn a_search_sees_the_changes_before_it() {
    let (a, b) = (number(1), number(2));
    let (first, second) = if a < b { (a, b) } else { (b, a) };
    let answers = exchange(&[
        configure(0, b""),
        insert(first, b"one"),
        insert(second, b"other"),
        search(10, &[], b"o"),
        search(1, &[], b"o"),
        search(1, &[first], b"o"),
        search(1, &[number(3)], b"o"),
        search(1, &[], b""),
        search(1, &[], b"$"),
        insert(number(4), b"!"),
        remove(first),
        search(1, &[], b"o"),
    ])
    .unwrap();
    let found = |ids: &[Identity], state: u8| {
        let mut payload = vec![state];
        ids.iter().for_each(|id| payload.extend_from_slice(id.as_bytes()));
        payload
    };
    let want = vec![
        (task::FOUND, 4, found(&[first, second], state::LAST)),
        (task::FOUND, 5, found(&[first], state::MORE)),
        (task::FOUND, 6, found(&[second], state::LAST)),
        (task::FAILED, 7, vec![failure::GONE]),
        (task::FAILED, 8, vec![failure::QUERY]),
        (task::FAILED, 9, vec![failure::EXPENSIVE]),
        (task::FAILED, 10, vec![failure::INPUT]),
        (task::FOUND, 12, found(&[second], state::LAST)),
    ];
    let rest: Vec<_> = answers.iter().filter(|a| a.0 != task::APPLIED).cloned().collect();
    assert_eq!(rest, want);
    let applied: Vec<u64> = answers.iter().filter(|a| a.0 == task::APPLIED).map(|a| a.1).collect();
    assert_eq!(applied.last(), Some(&11), "the last change is confirmed: {:?}", applied);
    assert!(applied.windows(2).all(|two| two[0] < two[1]), "confirmations ascend: {:?}", applied);
}

/// Of an index that ignores the candidates, the kit names those that match.
#[test]
fn only_candidates_are_named() {
    let mut ids: Vec<Identity> = (0..20).map(number).collect();
    ids.sort_unstable();
    let mut frames = vec![configure(0, b"")];
    frames.extend(ids.iter().map(|id| insert(*id, b"x")));
    let within = [ids[3], ids[7], ids[12]];
    let mut unknown = [number(100), number(101)];
    unknown.sort_unstable();
    let cases: [(u32, &[Identity], &[Identity], u8, &[Identity]); 7] = [
        (10, &[], &within, state::LAST, &within),
        (3, &[], &within, state::LAST, &within),
        (2, &[], &within, state::MORE, &within[..2]),
        (10, &[ids[7]], &within, state::LAST, &within[2..]),
        (10, &[ids[5], ids[3]], &within, state::LAST, &within[1..]),
        (10, &[], &unknown, state::LAST, &[]),
        (20, &[], &ids, state::LAST, &ids),
    ];
    frames.extend(cases.iter().map(|(limit, after, within, ..)| search_within(*limit, after, within, b"x")));
    let answers = exchange(&frames).unwrap();
    let found = answers.iter().filter(|a| a.0 == task::FOUND);
    for ((_, _, payload), (limit, after, _, state, want)) in found.zip(cases) {
        let ids: Vec<u8> = want.iter().flat_map(|id| *id.as_bytes()).collect();
        assert_eq!(*payload, [&[state][..], &ids].concat(), "limit {}, after {:?}", limit, after);
    }
    assert_eq!(answers.iter().filter(|a| a.0 == task::FOUND).count(), cases.len());
    for within in [&[ids[1], ids[0]], &[ids[0], ids[0]]] {
        let frames = [configure(0, b""), search_within(1, &[], within, b"x")];
        assert!(exchange(&frames).is_err(), "the candidates {:?} do not ascend", within);
    }
}

/// An index looks at the candidates, and at the objects after which a page begins.
#[test]
fn places_of_pages_are_candidates() {
    let mut within: Vec<Identity> = (0..3).map(number).collect();
    within.sort_unstable();
    let after = vec![number(7), number(1), number(7)];
    let query = Query { predicate: vec![], limit: 1, owner: ALL_OWNERS, after, within: within.clone() };
    assert_eq!(query.candidates().collect::<Vec<_>>(), [&within[..], &[number(7)]].concat());
    assert!(query.candidate(&number(7)) && query.candidate(&number(2)) && !query.candidate(&number(8)));
    assert!(Query { within: vec![], ..query }.candidate(&number(8)));
}

#[test]
fn long_answers_come_in_chunks() {
    let mut frames = vec![configure(0, b"")];
    frames.extend((0..5000).map(|n| insert(number(n), b"x")));
    frames.push(search(5000, &[], b"x"));
    frames.push(search(4999, &[], b"x"));
    let answers = exchange(&frames).unwrap();
    let found: Vec<_> =
        answers.iter().filter(|a| a.0 == task::FOUND).map(|a| (a.1, a.2[0], a.2.len() / 32)).collect();
    let want = [(5002, state::CONTINUES, 4096), (5002, state::LAST, 904)];
    assert_eq!(found[..2], want);
    assert_eq!(found[2..], [(5003, state::CONTINUES, 4096), (5003, state::MORE, 903)]);
}

#[test]
fn a_refused_configuration_ends_all_answers() {
    let answers = exchange(&[configure(0, b"wrong"), insert(number(1), b"x"), search(1, &[], b"x")]).unwrap();
    assert_eq!(answers, vec![(task::FAILED, 1, vec![failure::CONFIGURATION])]);
}

#[test]
fn frames_that_break_the_protocol_end_the_task() {
    let runs = (core::RUNS, vec![0; 36]);
    let cases = [
        vec![insert(number(1), b"x")],
        vec![configure(0, b""), configure(0, b"")],
        vec![configure(0, b""), (core::SAVE, vec![0, 0, 1, 0, 0])],
        vec![configure(0, b""), runs.clone()],
        vec![configure(1 << 20, b""), search(1, &[], b"x"), runs],
        vec![configure(0, b""), search(0, &[], b"x")],
    ];
    for frames in cases {
        let kinds: Vec<u8> = frames.iter().map(|f| f.0).collect();
        assert!(exchange(&frames).is_err(), "the frames {:?} are accepted", kinds);
    }
}
