//! Makes new inputs of old ones.

use crate::INPUT_BYTES_MAX;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Changes to one input, at the most.
const CHANGES_MAX: usize = 6;
/// Bytes that are copied, removed or inserted at a time.
const BLOCK_BYTES_MAX: usize = 64;
/// Bytes at which decoders change their mind.
const SPECIAL: [u8; 16] = [0, 1, 2, 3, 4, 0x17, 0x18, 0x1b, 0x7f, 0x80, 0x9f, 0xbf, 0xc0, 0xf8, 0xfb, 0xff];

pub(crate) struct Mutator {
    random: ChaCha8Rng,
    words: &'static [&'static str],
}

impl Mutator {
    pub(crate) fn new(target: &str, seed: u64, words: &'static [&'static str]) -> Self {
        let salt = target.bytes().fold(seed, |salt, byte| salt.rotate_left(7) ^ u64::from(byte));
        Self { random: ChaCha8Rng::seed_from_u64(salt), words }
    }

    fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { self.random.random_range(0..end) }
    }

    /// A mutation of one of the inputs.
    pub(crate) fn next(&mut self, pool: &[Vec<u8>]) -> Vec<u8> {
        let mut input = pool.get(self.below(pool.len())).cloned().unwrap_or_default();
        for _ in 0..=self.below(CHANGES_MAX) {
            self.change(&mut input, pool);
        }
        input.truncate(INPUT_BYTES_MAX);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, pool: &[Vec<u8>]) {
        let at = self.below(input.len());
        let end = (at + self.below(BLOCK_BYTES_MAX) + 1).min(input.len());
        match self.below(9) {
            0 if !input.is_empty() => input[at] ^= 1 << self.below(8),
            1 if !input.is_empty() => input[at] = SPECIAL[self.below(SPECIAL.len())],
            2 if !input.is_empty() => input[at] = self.random.random(),
            3 => drop(input.drain(at..end)),
            4 => input.truncate(at),
            5 => {
                let block: Vec<u8> = input[at..end].to_vec();
                let to = self.below(input.len() + 1);
                input.splice(to..to, block);
            }
            6 => {
                let other = pool.get(self.below(pool.len())).map(Vec::as_slice).unwrap_or_default();
                let from = self.below(other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            7 if !self.words.is_empty() => {
                let word = self.words[self.below(self.words.len())];
                input.splice(at..at, word.bytes());
            }
            _ => {
                let length = self.below(8) + 1;
                let block: Vec<u8> = (0..length).map(|_| self.random.random()).collect();
                input.splice(at..at, block);
            }
        }
    }
}
