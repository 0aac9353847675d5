//! Bytes on their way: in at one end, out at the other, moved in blocks.

/// A queue of bytes.
#[derive(Debug, Default)]
pub struct Pipe {
    bytes: Vec<u8>,
    start: usize,
}

impl Pipe {
    /// Appends.
    pub fn put(&mut self, bytes: &[u8]) {
        if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes at most so many bytes from the front.
    pub fn take(&mut self, most: usize) -> Vec<u8> {
        let end = self.start + most.min(self.len());
        let taken = self.bytes[self.start..end].to_vec();
        self.start = end;
        taken
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// How many bytes are in it.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// None are.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_in_first_out() {
        let mut pipe = Pipe::default();
        pipe.put(b"abc");
        assert_eq!(pipe.take(2), b"ab");
        pipe.put(b"de");
        assert_eq!((pipe.len(), pipe.take(9)), (3, b"cde".to_vec()));
        assert!(pipe.is_empty());
    }
}
