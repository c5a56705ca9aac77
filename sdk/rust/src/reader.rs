//! Splits the stream from the Core into frames.

use std::io::{self, Read};
use std::ops::Range;

use crate::wire::{Header, HEADER};

/// Usual size of the buffer in bytes: the default size of a socket buffer of Linux, so one read
/// empties that.
const READ_SIZE: usize = 256 << 10;

/// Holds the bytes that were read, and finds the frames in them.
#[derive(Default)]
pub(crate) struct Stream {
    buf: Vec<u8>,
    start: usize, // of the bytes that next has not returned
    end: usize,   // of the bytes that were read
    need: usize,  // length of the frame at start, as far as it is known
}

impl Stream {
    /// Returns the header of the next frame and the place of its payload, if all of it was read.
    /// The place is valid until the next fill.
    pub(crate) fn next(&mut self) -> io::Result<Option<(Header, Range<usize>)>> {
        let rest = &self.buf[self.start..self.end];
        self.need = HEADER;
        let mut head = [0; HEADER];
        if rest.len() < HEADER {
            return Ok(None);
        }
        head.copy_from_slice(&rest[..HEADER]);
        let header = Header::decode(&head).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.0))?;
        self.need += header.len;
        if rest.len() < self.need {
            return Ok(None);
        }
        let payload = self.start + HEADER..self.start + self.need;
        self.start = payload.end;
        Ok(Some((header, payload)))
    }

    /// Returns the bytes at a place that next returned.
    pub(crate) fn bytes(&self, place: Range<usize>) -> &[u8] {
        &self.buf[place]
    }

    /// Reads more bytes after next found no whole frame. It returns false at the end of the stream.
    pub(crate) fn fill(&mut self, from: &mut impl Read) -> io::Result<bool> {
        let rest = self.end - self.start;
        self.buf.copy_within(self.start..self.end, 0);
        self.start = 0;
        self.end = rest;
        let size = self.need.max(READ_SIZE);
        if self.buf.len() < size || self.buf.len() > size && rest <= size {
            self.buf.resize(size, 0); // larger for a large frame, and back again
            self.buf.shrink_to_fit();
        }
        loop {
            match from.read(&mut self.buf[self.end..]) {
                Ok(0) if rest == 0 => return Ok(false),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    self.end += n;
                    return Ok(true);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}
