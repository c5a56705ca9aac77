//! The frames of the Task protocol: fixed layouts, big-endian. Decoders check a length before they
//! use it, and accept exactly one encoding of each frame.

use crate::{Config, Identity, Owner, Query, Value};

/// Version of the protocol.
pub const VERSION: u8 = 2;
/// Bytes of a header.
pub const HEADER: usize = 16;
/// Most identities in a frame.
pub const MAX_CHUNK: usize = 4096;
/// Most runs in a frame.
pub const MAX_RUNS: usize = 4096;
/// Most numbers in a Set.
pub const MAX_DROPPED: usize = 4096;
/// Most bytes of a blob.
pub const MAX_BLOB: usize = 131_056;
/// Most identities before a page.
pub const MAX_AFTER: usize = 8;
/// Most candidates of a query.
pub const MAX_WITHIN: usize = 65_536;
/// Most bytes of a configuration or a predicate.
pub const MAX_QUERY: usize = 1 << 20;
/// Most bytes of an input.
pub const MAX_INPUT: usize = 16_777_264 - 48;

const MAGIC: [u8; 2] = *b"MT";

/// Types of frames from the Core.
#[allow(missing_docs)]
pub mod core {
    pub const CONFIGURE: u8 = 1;
    pub const INSERT: u8 = 2;
    pub const REMOVE: u8 = 3;
    pub const SEARCH: u8 = 4;
    pub const STORED: u8 = 5;
    pub const SAVE: u8 = 6;
    pub const RUNS: u8 = 7;
    pub const LIST: u8 = 8;
    pub const VOID: u8 = 9;
}

/// Types of frames from the Task.
#[allow(missing_docs)]
pub mod task {
    pub const APPLIED: u8 = 64;
    pub const FOUND: u8 = 65;
    pub const FAILED: u8 = 66;
    pub const BLOB: u8 = 67;
    pub const SET: u8 = 68;
    pub const DIFFER: u8 = 69;
    pub const LACKS: u8 = 70;
}

/// States of an answer.
#[allow(missing_docs)]
pub mod state {
    pub const LAST: u8 = 0;
    pub const CONTINUES: u8 = 1;
    pub const MORE: u8 = 2;
}

/// Failures of a frame.
#[allow(missing_docs)]
pub mod failure {
    pub const CONFIGURATION: u8 = 1;
    pub const INPUT: u8 = 2;
    pub const QUERY: u8 = 3;
    pub const EXPENSIVE: u8 = 4;
    pub const GONE: u8 = 5;
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Type of the frame.
    pub kind: u8,
    /// Bytes of the payload.
    pub len: usize,
    /// Sequence number.
    pub seq: u64,
}

/// Says that the Core broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken(pub &'static str);

impl Header {
    /// Decodes the header of a frame from the Core. It refuses a length that the type does not
    /// allow, and so bounds the buffer before the payload has arrived.
    pub fn decode(bytes: &[u8; HEADER]) -> Result<Header, Broken> {
        let mut r = Reader(bytes);
        if r.array::<2>()? != MAGIC || r.u8()? != VERSION {
            return Err(Broken("the magic or the version of a frame is wrong"));
        }
        let header = Header { kind: r.u8()?, len: r.u32()? as usize, seq: r.u64()? };
        if header.allowed() {
            Ok(header)
        } else {
            Err(Broken("the type or the length of a frame is not allowed"))
        }
    }

    fn allowed(&self) -> bool {
        let len = self.len;
        match self.kind {
            core::CONFIGURE => (14..=14 + MAX_QUERY).contains(&len),
            core::INSERT => (48..=48 + MAX_INPUT).contains(&len),
            core::REMOVE | core::VOID => len == 40,
            core::SEARCH => (17..=17 + (MAX_AFTER + MAX_WITHIN) * 32 + MAX_QUERY).contains(&len),
            core::STORED => (9..=8 + MAX_BLOB).contains(&len),
            core::SAVE => len == 5,
            core::RUNS => len % 36 == 0 && (1..=MAX_RUNS).contains(&(len / 36)),
            core::LIST => len % 32 == 0 && (1..=1 + MAX_CHUNK).contains(&(len / 32)),
            _ => false,
        }
    }
}

/// A frame from the Core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Declares the index.
    Configure(Config),
    /// An object was put.
    Insert {
        /// Position in the Core's log.
        lsn: u64,
        /// Identity of the object.
        id: Identity,
        /// Alias of the object's owner.
        owner: Owner,
        /// The object, or its attribute.
        input: &'a [u8],
    },
    /// An object was removed.
    Remove {
        /// Position in the Core's log.
        lsn: u64,
        /// Identity of the object.
        id: Identity,
    },
    /// An object was put that has no input.
    Void {
        /// Position in the Core's log.
        lsn: u64,
        /// Identity of the object.
        id: Identity,
    },
    /// Asks for the objects that match.
    Search(Query),
    /// A blob of the shelf.
    Stored {
        /// Number of the blob.
        number: u64,
        /// Content of the blob.
        blob: &'a [u8],
    },
    /// Asks for one step of saving.
    Save {
        /// Most bytes of the blob.
        room: usize,
        /// The shelf is empty, whatever the Task has sent before.
        anew: bool,
    },
    /// Asks which runs differ.
    Runs(Vec<Run>),
    /// Asks which identities of a range the Task lacks.
    List {
        /// First value of the range.
        first: Value,
        /// Last value of the range.
        last: Value,
        /// All identities of the range, ascending.
        ids: Vec<Identity>,
    },
}

/// A run of objects whose values follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Last value of the run.
    pub last: Value,
    /// Objects of the run.
    pub count: u32,
    /// Sum of their tags.
    pub sum: u128,
}

impl<'a> Frame<'a> {
    /// Decodes the payload of a frame.
    pub fn decode(header: &Header, payload: &'a [u8]) -> Result<Frame<'a>, Broken> {
        let mut r = Reader(payload);
        let frame = match header.kind {
            core::CONFIGURE => Frame::Configure(Config {
                data_type: r.u8()?,
                ordered: r.bool()?,
                max_results: r.u32()?,
                shelf: r.u64()?,
                options: r.rest().to_vec(),
            }),
            core::INSERT => Frame::Insert { lsn: r.u64()?, id: r.id()?, owner: r.u64()?, input: r.rest() },
            core::REMOVE => Frame::Remove { lsn: r.u64()?, id: r.id()? },
            core::SEARCH => Frame::Search(r.query()?),
            core::VOID => Frame::Void { lsn: r.u64()?, id: r.id()? },
            core::STORED => Frame::Stored { number: r.u64()?, blob: r.rest() },
            core::SAVE => Frame::Save { room: r.u32()? as usize, anew: r.bool()? },
            core::RUNS => Frame::Runs(r.runs()?),
            core::LIST => Frame::List { first: r.array()?, last: r.array()?, ids: r.ids()? },
            _ => return Err(Broken("the type of a frame is not known")),
        };
        if r.0.is_empty() {
            Ok(frame)
        } else {
            Err(Broken("a frame is too long"))
        }
    }
}

/// Appends the header of a frame from the Task.
pub fn append_header(out: &mut Vec<u8>, kind: u8, len: usize, seq: u64) {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[VERSION, kind]);
    out.extend_from_slice(&(len as u32).to_be_bytes());
    out.extend_from_slice(&seq.to_be_bytes());
}

/// Appends a frame with this payload.
pub fn append(out: &mut Vec<u8>, kind: u8, seq: u64, payload: &[u8]) {
    append_header(out, kind, payload.len(), seq);
    out.extend_from_slice(payload);
}

/// Appends a Found frame.
pub fn append_found(out: &mut Vec<u8>, seq: u64, state: u8, ids: &[Identity]) {
    append_header(out, task::FOUND, 1 + ids.len() * Identity::SIZE, seq);
    out.push(state);
    ids.iter().for_each(|id| out.extend_from_slice(id.as_bytes()));
}

/// Appends a Blob frame.
pub fn append_blob(out: &mut Vec<u8>, seq: u64, number: u64, blob: &[u8]) {
    append_header(out, task::BLOB, 8 + blob.len(), seq);
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(blob);
}

/// Appends a Set frame. Without `dropped`, nothing changed.
pub fn append_set(out: &mut Vec<u8>, seq: u64, dropped: Option<&[u64]>) {
    let numbers = dropped.unwrap_or(&[]);
    append_header(out, task::SET, 1 + numbers.len() * 8, seq);
    out.push(dropped.is_some() as u8);
    numbers.iter().for_each(|n| out.extend_from_slice(&n.to_be_bytes()));
}

/// Packs one bit for each item, the most significant bit first.
pub fn bitmap(bits: impl Iterator<Item = bool>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (i, bit) in bits.enumerate() {
        if i % 8 == 0 {
            bytes.push(0);
        }
        bytes[i / 8] |= (bit as u8) << (7 - i % 8);
    }
    bytes
}

/// Takes fields from the start of a payload.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Broken> {
        if self.0.len() < len {
            return Err(Broken("a frame is too short"));
        }
        let (field, rest) = self.0.split_at(len);
        self.0 = rest;
        Ok(field)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Broken> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Broken> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Broken> {
        self.array().map(u64::from_be_bytes)
    }

    fn bool(&mut self) -> Result<bool, Broken> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Broken("a flag is neither 0 nor 1")),
        }
    }

    fn id(&mut self) -> Result<Identity, Broken> {
        self.array::<32>().map(Identity::from)
    }

    fn ids(&mut self) -> Result<Vec<Identity>, Broken> {
        let mut ids = Vec::with_capacity(self.0.len() / Identity::SIZE);
        while !self.0.is_empty() {
            ids.push(self.id()?);
        }
        if ids.windows(2).any(|two| two[0] >= two[1]) {
            return Err(Broken("identities do not ascend"));
        }
        Ok(ids)
    }

    fn runs(&mut self) -> Result<Vec<Run>, Broken> {
        let mut runs = Vec::with_capacity(self.0.len() / 36);
        while !self.0.is_empty() {
            let (last, count) = (self.array()?, self.u32()?);
            runs.push(Run { last, count, sum: u128::from_be_bytes(self.array()?) });
        }
        if runs.windows(2).any(|two| two[0].last >= two[1].last) {
            return Err(Broken("the runs do not ascend"));
        }
        Ok(runs)
    }

    fn query(&mut self) -> Result<Query, Broken> {
        let (limit, owner, count) = (self.u32()?, self.u64()?, self.u8()? as usize);
        if limit == 0 || count > MAX_AFTER {
            return Err(Broken("the limit or the page of a query is not allowed"));
        }
        let after = (0..count).map(|_| self.id()).collect::<Result<_, _>>()?;
        let candidates = self.u32()? as usize;
        if candidates > MAX_WITHIN {
            return Err(Broken("a query has too many candidates"));
        }
        let within = Reader(self.take(candidates * Identity::SIZE)?).ids()?;
        let predicate = self.rest().to_vec();
        if predicate.len() > MAX_QUERY {
            return Err(Broken("a predicate is too long"));
        }
        Ok(Query { predicate, limit, owner, after, within })
    }
}
