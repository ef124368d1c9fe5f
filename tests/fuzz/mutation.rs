//! Inputs that are made from samples.

/// What is worth trying anywhere: the edges of formats.
const TOKENS: [&[u8]; 24] = [
    b"\0",
    b"\xff",
    b"\x1b[2J",
    b"\r\n",
    b"\"",
    b"\\",
    b"\\u",
    b"${",
    b"%{",
    b"<<-E\n",
    b"{",
    b"}",
    b"[",
    b"]",
    b"(",
    b"!",
    b"-",
    b"null",
    b"1e999",
    b"18446744073709551616",
    "\u{202e}".as_bytes(),
    "\u{e0041}".as_bytes(),
    b"=",
    b"//",
];

pub struct Mutator<'a> {
    samples: &'a [&'a [u8]],
    state: u64,
}

impl<'a> Mutator<'a> {
    pub fn new(samples: &'a [&'a [u8]]) -> Self {
        Self {
            samples,
            state: 0x9E37_79B9_7F4A_7C15,
        }
    }

    /// Below `limit` (`SplitMix64`).
    fn below(&mut self, limit: usize) -> usize {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % limit.max(1) as u64).unwrap()
    }

    /// The next input: a sample with one to eight changes.
    pub fn next(&mut self) -> Vec<u8> {
        let mut input = self.sample();
        for _ in 0..=self.below(8) {
            self.change(&mut input);
        }
        input
    }

    fn sample(&mut self) -> Vec<u8> {
        let index = self.below(self.samples.len());
        self.samples[index].to_vec()
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len() + 1);
        let end = at + self.below((input.len() - at).min(64) + 1);
        match self.below(8) {
            0 => input.truncate(at),
            1 => drop(input.drain(at..end)),
            2 => {
                let again = input[at..end].to_vec();
                insert(input, at, &again);
            }
            3 => {
                let index = self.below(TOKENS.len());
                insert(input, at, TOKENS[index]);
            }
            4 if at < input.len() => input[at] ^= 1 << self.below(8),
            5 if at < input.len() => input[at] = u8::try_from(self.below(256)).unwrap(),
            6 => {
                let other = self.sample();
                let from = self.below(other.len() + 1);
                insert(input, at, &other[from..]);
            }
            // Deep nesting, long fields.
            _ if self.below(20) == 0 => {
                let index = self.below(TOKENS.len());
                let times = 1 << self.below(14);
                insert(input, at, &TOKENS[index].repeat(times));
            }
            _ => {}
        }
    }
}

fn insert(input: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    input.splice(at..at, bytes.iter().copied());
}
