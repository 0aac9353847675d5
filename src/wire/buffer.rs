//! The input buffer the machines share: bytes are appended at the end and taken from the front.
//! It gives its memory back as soon as it is empty, and moves bytes only when more than half of
//! it is already taken, so that many small pipelined messages do not cost quadratic time.

/// Bytes that arrived and are not used yet.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    /// An empty buffer without heap memory.
    pub(crate) const fn new() -> Self {
        Self { bytes: Vec::new(), start: 0 }
    }

    /// What is there.
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// How many bytes are there.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.start)
    }

    /// True when nothing is there.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends.
    pub(crate) fn extend(&mut self, more: &[u8]) {
        if more.is_empty() {
            return;
        }
        if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start.min(self.bytes.len()));
            self.start = 0;
        }
        self.bytes.extend_from_slice(more);
    }

    /// Drops `count` bytes from the front (at most what is there).
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.bytes.len());
        if self.start == self.bytes.len() {
            *self = Self::new();
        }
    }

    /// Takes everything.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let old = std::mem::take(self);
        if old.start == 0 {
            return old.bytes;
        }
        old.as_slice().to_vec()
    }

    /// Heap memory held, in bytes.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_from_the_front_and_frees_when_empty() {
        let mut buffer = Buffer::new();
        buffer.extend(b"abcdef");
        buffer.consume(4);
        assert_eq!(buffer.as_slice(), b"ef");
        buffer.extend(b"gh");
        assert_eq!(buffer.as_slice(), b"efgh");
        buffer.consume(1);
        assert_eq!(buffer.take(), b"fgh");
        buffer.extend(b"x");
        buffer.consume(99);
        assert!(buffer.is_empty());
        assert_eq!(buffer.capacity(), 0);
    }
}
