//! A stand-in for the Core of an index with a shelf: it keeps the collection and the blobs, starts
//! processes, reconciles, and checks what the Core would check.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

use super::{configure, insert, number, remove, search, version, First};
use crate::wire::{self, core, failure, task, HEADER};
use crate::{run, Identity, Value};

/// Random numbers that a seed decides (xorshift).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// The Core's part of an index with a shelf.
pub(super) struct World {
    pub(super) random: Random,
    pub(super) quota: u64,
    pub(super) objects: BTreeMap<Value, (Identity, Vec<u8>)>, // of the collection
    pub(super) shelf: BTreeMap<u64, Vec<u8>>,                 // the set that counts
    pub(super) older: BTreeMap<u64, Vec<u8>>,                 // a set of before
    pub(super) fed: usize,                                    // objects that the last start fed
    pub(super) listed: usize,                                 // runs that the last start listed
    pub(super) written: usize,                                // bytes of blobs
    pub(super) version: u64,
    pub(super) highest: u64, // number of a blob in this process
    pub(super) anew: bool,   // the next saving begins with an empty shelf
}

/// A started process, and a conversation with it.
pub(super) struct Process {
    ask: UnixStream,
    seq: u64,
    task: JoinHandle<io::Result<()>>,
}

impl Process {
    pub(super) fn start(quota: u64) -> Process {
        let (ask, mut serve) = UnixStream::pair().unwrap();
        let task = thread::spawn(move || run(&mut serve, First::default()));
        let mut p = Process { ask, seq: 0, task };
        p.send(&configure(quota, b""));
        p
    }

    pub(super) fn send(&mut self, frame: &(u8, Vec<u8>)) {
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

    pub(super) fn stop(self) {
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
    pub(super) fn new(seed: u64, quota: u64) -> World {
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
    pub(super) fn start(&mut self) -> Process {
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

    pub(super) fn change(&mut self, p: &mut Process, among: u64) {
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
    pub(super) fn save(&mut self, p: &mut Process, cut: bool) {
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

    pub(super) fn check(&mut self, p: &mut Process) {
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
