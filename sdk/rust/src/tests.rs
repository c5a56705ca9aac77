//! A stand-in for the Core runs an index through random histories: changes, savings that are cut
//! short, starts with the shelf, with an older shelf, or without it. After each start the index
//! must find exactly the objects of the collection.

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

/// Random numbers that a seed decides (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
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
    let after: Vec<u8> = after.iter().flat_map(|id| *id.as_bytes()).collect();
    let count = [(after.len() / 32) as u8];
    (core::SEARCH, [&limit.to_be_bytes()[..], &[0; 8], &count, &after, predicate].concat())
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

/// The Core's part of an index with a shelf.
struct World {
    random: Random,
    quota: u64,
    objects: BTreeMap<Value, (Identity, Vec<u8>)>, // of the collection
    shelf: BTreeMap<u64, Vec<u8>>,                 // the set that counts
    older: BTreeMap<u64, Vec<u8>>,                 // a set of before
    fed: usize,                                    // objects that the last start fed
    listed: usize,                                 // runs that the last start listed
    written: usize,                                // bytes of blobs
    version: u64,
    highest: u64, // number of a blob in this process
    anew: bool,   // the next saving begins with an empty shelf
}

/// A started process, and a conversation with it.
struct Process {
    ask: std::os::unix::net::UnixStream,
    seq: u64,
    task: std::thread::JoinHandle<io::Result<()>>,
}

impl Process {
    fn start(quota: u64) -> Process {
        let (ask, mut serve) = std::os::unix::net::UnixStream::pair().unwrap();
        let task = std::thread::spawn(move || run(&mut serve, First::default()));
        let mut p = Process { ask, seq: 0, task };
        p.send(&configure(quota, b""));
        p
    }

    fn send(&mut self, frame: &(u8, Vec<u8>)) {
        self.seq += 1;
        let mut bytes = Vec::new();
        wire::append(&mut bytes, frame.0, self.seq, &frame.1);
        self.ask.write_all(&bytes).unwrap();
    }

    /// Sends a question and returns its answer.
    fn ask(&mut self, frame: &(u8, Vec<u8>)) -> (u8, Vec<u8>) {
        self.send(frame);
        loop {
            let mut head = [0; HEADER];
            self.ask.read_exact(&mut head).unwrap();
            let mut payload = vec![0; u32::from_be_bytes(head[4..8].try_into().unwrap()) as usize];
            self.ask.read_exact(&mut payload).unwrap();
            let refused = head[3] == task::FAILED && payload == [failure::INPUT];
            if head[3] != task::APPLIED && !refused {
                assert_eq!(u64::from_be_bytes(head[8..16].try_into().unwrap()), self.seq);
                return (head[3], payload);
            }
        }
    }

    fn stop(self) {
        drop(self.ask);
        self.task.join().unwrap().unwrap();
    }
}

/// Bytes that the Core counts for a blob.
fn counted(blob: &[u8]) -> u64 {
    let mut class = 4096;
    while class < blob.len() as u64 + 4 {
        class *= 2;
    }
    class + 256
}

/// The room that the Core has for one more blob.
fn room(quota: u64, used: u64) -> u32 {
    let mut class = 128 << 10;
    while class + 256 > quota - used {
        class /= 2;
        if class < 4096 {
            return 0;
        }
    }
    (class as u32 - 4).min(131_056)
}

impl World {
    fn new(seed: u64, quota: u64) -> World {
        World {
            random: Random(seed),
            quota,
            objects: BTreeMap::new(),
            shelf: BTreeMap::new(),
            older: BTreeMap::new(),
            fed: 0,
            listed: 0,
            written: 0,
            version: 0,
            highest: 0,
            anew: false,
        }
    }

    /// Starts a process: gives it the shelf, reconciles, and feeds what it lacks.
    fn start(&mut self) -> Process {
        let mut p = Process::start(self.quota);
        for (number, blob) in &self.shelf {
            p.send(&(core::STORED, [&number.to_be_bytes()[..], blob].concat()));
        }
        self.fed = 0;
        self.listed = 0;
        self.highest = self.shelf.keys().last().copied().unwrap_or(0);
        let all: Vec<Identity> = self.objects.values().map(|(id, _)| *id).collect();
        let mut runs: Vec<Vec<Identity>> = all.chunks(16).map(|c| c.to_vec()).collect();
        if runs.is_empty() {
            runs.push(Vec::new());
        }
        let count = runs.len();
        let last_of =
            |i: usize, run: &[Identity]| if i + 1 == count { [255; 16] } else { run.last().unwrap().value() };
        let mut first = [0; 16];
        for (frame, part) in runs.chunks(3).enumerate() {
            let mut payload = Vec::new();
            for (i, run) in part.iter().enumerate() {
                let sum = run.iter().fold(0u128, |sum, id| sum.wrapping_add(u128::from_be_bytes(id.tag())));
                payload.extend_from_slice(&last_of(frame * 3 + i, run));
                payload.extend_from_slice(&(run.len() as u32).to_be_bytes());
                payload.extend_from_slice(&sum.to_be_bytes());
            }
            let (kind, differ) = p.ask(&(core::RUNS, payload));
            assert_eq!((kind, differ.len()), (task::DIFFER, 1));
            for (i, run) in part.iter().enumerate() {
                let last = last_of(frame * 3 + i, run);
                if differ[0] >> (7 - i) & 1 == 1 {
                    self.list(&mut p, first, last, run);
                }
                first = last;
                increment(&mut first);
            }
        }
        p
    }

    fn list(&mut self, p: &mut Process, first: Value, last: Value, run: &[Identity]) {
        self.listed += 1;
        let ids: Vec<u8> = run.iter().flat_map(|id| *id.as_bytes()).collect();
        let (kind, lacks) = p.ask(&(core::LIST, [&first[..], &last, &ids].concat()));
        assert_eq!((kind, lacks.len()), (task::LACKS, (run.len() + 7) / 8));
        for (i, id) in run.iter().enumerate() {
            if lacks[i / 8] >> (7 - i % 8) & 1 == 1 {
                self.fed += 1;
                p.send(&insert(*id, &self.objects[&id.value()].1));
            }
        }
    }

    fn change(&mut self, p: &mut Process, among: u64) {
        let n = self.random.below(among);
        if self.random.below(4) == 0 {
            if let Some((id, _)) = self.objects.remove(&number(n).value()) {
                p.send(&remove(id));
            }
            return;
        }
        self.version += 1;
        let id = version(n, self.version);
        if self.random.below(8) == 0 {
            p.send(&(core::VOID, [&[0; 8], &id.as_bytes()[..]].concat()));
            self.objects.insert(id.value(), (id, b"-".to_vec()));
            return;
        }
        let mut input = vec![b"ab-!"[self.random.below(4) as usize]];
        input.resize(1 + self.random.below(60) as usize, b'.');
        p.send(&insert(id, &input));
        self.objects.insert(id.value(), (id, input));
    }

    /// Saves, as the Core does. If `cut`, the process ends before the Set.
    fn save(&mut self, p: &mut Process, cut: bool) {
        let mut sent = BTreeMap::new();
        let mut steps = 0;
        let mut shelf = if self.anew { BTreeMap::new() } else { self.shelf.clone() };
        loop {
            let anew = (steps == 0 && self.anew) as u8;
            let used: u64 = shelf.values().chain(sent.values()).map(|b: &Vec<u8>| counted(b)).sum();
            let room = room(self.quota, used);
            let (kind, payload) = p.ask(&(core::SAVE, [&room.to_be_bytes()[..], &[anew]].concat()));
            steps += 1;
            assert!(steps < 10_000, "the saving does not end");
            if kind == task::BLOB {
                let (number, blob) = payload.split_at(8);
                let number = u64::from_be_bytes(number.try_into().unwrap());
                assert!(!blob.is_empty() && blob.len() <= room as usize);
                assert!(self.highest < number, "numbers ascend");
                self.highest = number;
                self.written += blob.len();
                sent.insert(number, blob.to_vec());
                if cut {
                    return;
                }
                continue;
            }
            assert_eq!(kind, task::SET);
            if payload[0] == 0 {
                assert!(payload.len() == 1 && sent.is_empty());
                return;
            }
            for number in payload[1..].chunks(8) {
                let number = u64::from_be_bytes(number.try_into().unwrap());
                assert!(shelf.remove(&number).is_some(), "the shelf has no blob {}", number);
            }
            shelf.append(&mut sent);
            assert!(shelf.keys().last() == Some(&self.highest), "the newest blob stays");
            self.older = std::mem::replace(&mut self.shelf, shelf);
            self.anew = false;
            return;
        }
    }

    fn check(&mut self, p: &mut Process) {
        for first in [b"a", b"b"] {
            let (_, found) = p.ask(&search(100_000, &[], first));
            let ids: Vec<Identity> =
                found[1..].chunks(32).map(|id| <[u8; 32]>::try_from(id).unwrap().into()).collect();
            let want = self.objects.values().filter(|(_, input)| input[0] == first[0]).map(|(id, _)| *id);
            assert!(ids.into_iter().eq(want), "the index finds other objects than the collection has");
        }
    }
}

fn increment(value: &mut Value) {
    let next = u128::from_be_bytes(*value).wrapping_add(1);
    *value = next.to_be_bytes();
}

#[test]
fn random_histories_end_with_the_right_entries() {
    for seed in 1..=60 {
        let mut w = World::new(seed, [1 << 17, 1 << 20, 1 << 26][seed as usize % 3]);
        for start in 0..6 {
            let mut p = w.start();
            w.check(&mut p);
            if start % 3 == 1 {
                assert_eq!((w.fed, w.listed), (0, 0), "seed {}: the shelf is not up to date", seed);
            }
            for _ in 0..w.random.below(8) {
                for _ in 0..w.random.below(200) {
                    w.change(&mut p, 300);
                }
                w.anew = w.random.below(16) == 0;
                w.save(&mut p, false);
            }
            if start % 3 == 0 {
                w.save(&mut p, false); // and what was saved is all there is
            } else {
                for _ in 0..20 {
                    w.change(&mut p, 300);
                }
                w.save(&mut p, true);
            }
            w.check(&mut p);
            p.stop();
            match w.random.below(8) {
                0 if start % 3 != 0 => w.shelf.clear(),
                1 if start % 3 != 0 => w.shelf = w.older.clone(),
                _ => {}
            }
        }
    }
}

/// Steady overwriting writes at most four bytes for each byte of changed entries, and many small
/// savings leave few blobs.
#[test]
fn overwriting_writes_little_more_than_the_changes() {
    let mut w = World::new(7, 1 << 22);
    let mut p = w.start();
    let put = |w: &mut World, p: &mut Process, n: u64| {
        w.version += 1;
        let id = version(n, w.version);
        p.send(&insert(id, &[b'a'; 100]));
        w.objects.insert(id.value(), (id, vec![b'a'; 100]));
    };
    for n in 0..4000 {
        put(&mut w, &mut p, n);
    }
    w.save(&mut p, false);
    w.written = 0;
    for _ in 0..1000 {
        for _ in 0..50 {
            let n = w.random.below(4000);
            put(&mut w, &mut p, n);
        }
        w.save(&mut p, false);
    }
    let changed = 50_000 * 145;
    println!("{} bytes written for {} bytes changed, {} blobs", w.written, changed, w.shelf.len());
    assert!(w.written <= 4 * changed, "{} bytes are written for {} bytes of changes", w.written, changed);
    assert!(w.shelf.len() < 1000, "{} blobs", w.shelf.len());
    p.stop();
    let mut p = w.start();
    assert_eq!(w.fed, 0);
    w.check(&mut p);
    p.stop();
}

/// A collection that does not fit leaves the index right, and part of it is fed anew.
#[test]
fn a_full_shelf_keeps_what_fits() {
    let mut w = World::new(9, 1 << 16);
    let mut p = w.start();
    for _ in 0..20 {
        for _ in 0..400 {
            w.change(&mut p, 3000);
        }
        w.save(&mut p, false);
    }
    w.check(&mut p);
    p.stop();
    let mut p = w.start();
    assert!(0 < w.fed && w.fed < w.objects.len(), "{} of {} objects are fed", w.fed, w.objects.len());
    w.check(&mut p);
    let many: Vec<Identity> = w.objects.values().map(|(id, _)| *id).skip(300).collect();
    for id in many {
        w.objects.remove(&id.value());
        p.send(&remove(id));
    }
    for _ in 0..20 {
        w.save(&mut p, false); // the removals make space for what did not fit
    }
    p.stop();
    let mut p = w.start();
    assert_eq!((w.fed, w.listed), (0, 0), "what fits is saved");
    w.check(&mut p);
    p.stop();
}
