//! The Task's end of the protocol.

use std::io::{self, Read, Write};
use std::os::unix::io::FromRawFd;
use std::os::unix::net::UnixStream;
use std::process;

use crate::reader::Stream;
use crate::saving::Step;
use crate::shelf::Shelf;
use crate::wire::{self, failure, state, task, Broken, Frame, Header};
use crate::{Answer, Config, Failure, Identity, Index, Input, Owner, Query, ALL_OWNERS};

/// Bytes of answers that are kept while more frames wait. From this size on they are written.
const WRITE_SIZE: usize = 64 << 10;

/// Descriptor of the channel to the Core.
const CHANNEL: i32 = 3;

/// Runs the index until the Core closes the channel, and then ends the process. The main function
/// of a Task only calls serve.
pub fn serve(index: impl Index) -> ! {
    let ended = channel().and_then(|channel| run(&mut &channel, index));
    if let Err(e) = &ended {
        eprintln!("{}", e);
    }
    process::exit(ended.is_err() as i32)
}

/// Takes the channel that the host opened for this process.
#[allow(unsafe_code)]
fn channel() -> io::Result<UnixStream> {
    // Safety: serve is called once, and nothing else in the process uses the descriptor.
    let channel = unsafe { UnixStream::from_raw_fd(CHANNEL) };
    if channel.local_addr().is_err() {
        std::mem::forget(channel); // there may be no descriptor to close
        let why = "this is a Task: a Motte server starts it and hands it a channel on descriptor 3";
        return Err(io::Error::new(io::ErrorKind::NotConnected, why));
    }
    Ok(channel)
}

/// Runs the index on a channel to the Core, and returns when the channel is closed. [`serve`]
/// calls it; a test may call it with a channel of its own.
pub fn run(channel: &mut (impl Read + Write), index: impl Index) -> io::Result<()> {
    let mut stream = Stream::default();
    let mut server = Server::new(index);
    loop {
        while let Some((header, place)) = stream.next()? {
            let handled = server.handle(&header, stream.bytes(place));
            handled.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.0))?;
            if server.out.len() >= WRITE_SIZE {
                server.flush(channel)?;
            }
        }
        // All frames that have arrived are handled: write the answers, and wait for more.
        server.flush(channel)?;
        if !stream.fill(channel)? {
            return Ok(());
        }
    }
}

/// Turns frames of the Core into calls of the index, and its results into frames.
struct Server<I> {
    index: I,
    shelf: Option<Shelf>,
    out: Vec<u8>,  // frames to be written
    seq: u64,      // of the last frame handled
    applied: u64,  // every change up to this number is done
    told: u64,     // the value of applied that the Core was told last
    refused: bool, // the index refused its configuration; the Core will close the channel
    served: bool,  // a Search came: no more Stored, Runs and List
}

impl<I: Index> Server<I> {
    fn new(index: I) -> Self {
        Server {
            index,
            shelf: None,
            out: Vec::new(),
            seq: 0,
            applied: 0,
            told: 0,
            refused: false,
            served: false,
        }
    }

    fn handle(&mut self, header: &Header, payload: &[u8]) -> Result<(), Broken> {
        if header.seq != self.seq + 1 || (header.kind == wire::core::CONFIGURE) != (header.seq == 1) {
            return Err(Broken("a frame has another number than the next"));
        }
        self.seq = header.seq;
        if self.refused {
            return Ok(()); // the Core sent this frame before it read the refusal
        }
        match Frame::decode(header, payload)? {
            Frame::Configure(config) => self.configure(&config),
            Frame::Insert { id, owner, input, .. } => self.insert(id, owner, input),
            Frame::Remove { id, .. } => self.remove(id),
            Frame::Void { id, .. } => {
                let shelf = self.shelf.as_mut().ok_or(NO_SHELF)?;
                self.index.remove(&id.value());
                shelf.insert(id, ALL_OWNERS, true);
                self.applied = self.seq;
            }
            Frame::Search(query) => self.search(&query),
            Frame::Stored { number, blob } => {
                let (shelf, index) = self.starting()?;
                shelf.load(index, number, blob);
                self.applied = self.seq;
            }
            Frame::Save { room, anew } => self.save(room, anew)?,
            Frame::Runs(runs) => {
                let differ = self.starting()?.0.differ(&runs);
                wire::append(&mut self.out, task::DIFFER, self.seq, &differ);
            }
            Frame::List { first, last, ids } => {
                let (shelf, index) = self.starting()?;
                let lacks = shelf.lacks(index, &first, &last, &ids);
                wire::append(&mut self.out, task::LACKS, self.seq, &lacks);
            }
        }
        Ok(())
    }

    fn configure(&mut self, config: &Config) {
        if self.index.configure(config).is_err() {
            self.refused = true;
            return self.fail(failure::CONFIGURATION);
        }
        if config.shelf > 0 {
            self.shelf = Some(Shelf::new(config.shelf));
        }
        self.applied = self.seq;
    }

    fn insert(&mut self, id: Identity, owner: Owner, input: &[u8]) {
        let done = self.index.insert(id, owner, input);
        if let Some(shelf) = &mut self.shelf {
            shelf.insert(id, owner, done != Input::Held);
        }
        if done == Input::Refused {
            self.fail(failure::INPUT);
        }
        self.applied = self.seq;
    }

    fn remove(&mut self, id: Identity) {
        self.index.remove(&id.value());
        if let Some(shelf) = &mut self.shelf {
            shelf.remove(&id.value());
        }
        self.applied = self.seq;
    }

    fn search(&mut self, query: &Query) {
        self.served = true;
        if let Some(shelf) = &mut self.shelf {
            shelf.reconciled();
        }
        let found = self
            .index
            .search(query)
            .map(|found| answer(&mut self.out, self.seq, query.limit as usize, among(&query.within, found)));
        match found {
            Ok(()) => {}
            Err(Failure::TooExpensive) => self.fail(failure::EXPENSIVE),
            Err(Failure::Gone) if !query.after.is_empty() => self.fail(failure::GONE),
            Err(_) => self.fail(failure::QUERY),
        }
    }

    fn save(&mut self, room: usize, anew: bool) -> Result<(), Broken> {
        let shelf = self.shelf.as_mut().ok_or(NO_SHELF)?;
        if anew {
            shelf.forget();
        }
        match shelf.step(&self.index, room) {
            Step::Blob(number, blob) => wire::append_blob(&mut self.out, self.seq, number, &blob),
            Step::Set(dropped) => wire::append_set(&mut self.out, self.seq, Some(&dropped)),
            Step::Unchanged => wire::append_set(&mut self.out, self.seq, None),
        }
        Ok(())
    }

    /// Returns the shelf and the index while the Core may still load and reconcile.
    fn starting(&mut self) -> Result<(&mut Shelf, &mut I), Broken> {
        match &mut self.shelf {
            Some(shelf) if !self.served => Ok((shelf, &mut self.index)),
            _ => Err(NO_SHELF),
        }
    }

    fn fail(&mut self, why: u8) {
        wire::append(&mut self.out, task::FAILED, self.seq, &[why]);
    }

    /// Writes all answers, and one number that confirms all changes that are done.
    fn flush(&mut self, to: &mut impl Write) -> io::Result<()> {
        if self.applied > self.told {
            wire::append(&mut self.out, task::APPLIED, self.applied, &[]);
            self.told = self.applied;
        }
        to.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }
}

const NO_SHELF: Broken = Broken("a frame of the shelf comes without a shelf, or too late");

/// Returns the identities of an answer that are candidates. It ends at the last of them.
fn among<'a>(within: &'a [Identity], found: Answer<'a>) -> Answer<'a> {
    if within.is_empty() {
        return found;
    }
    Box::new(found.filter(move |id| within.binary_search(id).is_ok()).take(within.len()))
}

/// Appends the first identities of an answer, up to the limit. It takes one identity more, to
/// learn whether more match.
fn answer(out: &mut Vec<u8>, seq: u64, limit: usize, found: Answer) {
    let mut chunk = Vec::new();
    let mut last = state::LAST;
    for (named, id) in found.enumerate() {
        if named == limit {
            last = state::MORE;
            break;
        }
        if chunk.len() == wire::MAX_CHUNK {
            wire::append_found(out, seq, state::CONTINUES, &chunk);
            chunk.clear();
        }
        chunk.push(id);
    }
    wire::append_found(out, seq, last, &chunk);
}
