use std::fmt;
use std::str::FromStr;

use longshore_model::Sha256;

/// Crockford's base32: no letter that is read as another.
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Bits of a letter.
const LETTER_BITS: u32 = 5;
/// Letters of each half: 60 bits.
const HALF: usize = 12;
/// Letters between two hyphens, where a code is shown.
const GROUP: usize = 4;

/// What is typed into a device that cannot scan: 12 letters by which it knows the server, and 12 that let it ask to be
/// known.
///
/// `Debug` and the logs leave the secret out; `Display` is the text itself, in groups of four.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrolmentCode {
    /// The first 60 bits of SHA-256 of the server's public key (SubjectPublicKeyInfo).
    pin: u64,
    /// Proves the token.
    pub secret: CodeSecret,
}

/// The secret half of a code: 60 bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CodeSecret(u64);

/// A text that is no code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a code has 24 letters and digits in groups of four; compare it with the sheet, or ask for a new one")]
pub struct InvalidCode;

impl EnrolmentCode {
    /// For the server with this key.
    pub fn new(pin: Sha256, secret: CodeSecret) -> Self {
        Self { pin: beginning(pin), secret }
    }

    /// Whether the server with this key is the one that is meant.
    pub fn is_for(&self, pin: Sha256) -> bool {
        self.pin == beginning(pin)
    }
}

impl CodeSecret {
    /// The first 60 of these random bits.
    pub fn from_random(random: [u8; 8]) -> Self {
        Self(first_60(random))
    }
}

impl fmt::Display for EnrolmentCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters: Vec<char> = encode(self.pin).into_iter().chain(encode(self.secret.0)).collect();
        for (number, group) in letters.chunks(GROUP).enumerate() {
            let hyphen = if number == 0 { "" } else { "-" };
            write!(f, "{hyphen}{}", group.iter().collect::<String>())?;
        }
        Ok(())
    }
}

impl fmt::Debug for EnrolmentCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnrolmentCode({})", encode(self.pin).iter().collect::<String>())
    }
}

impl fmt::Debug for CodeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeSecret")
    }
}

/// As it follows the scheme in `Authorization`: 12 letters, without hyphens.
impl fmt::Display for CodeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode(self.0).iter().collect::<String>())
    }
}

impl FromStr for EnrolmentCode {
    type Err = InvalidCode;

    fn from_str(text: &str) -> Result<Self, InvalidCode> {
        let letters = letters(text)?;
        let (pin, secret) = letters.split_at_checked(HALF).ok_or(InvalidCode)?;
        Ok(Self { pin: decode(pin)?, secret: CodeSecret(decode(secret)?) })
    }
}

impl FromStr for CodeSecret {
    type Err = InvalidCode;

    fn from_str(text: &str) -> Result<Self, InvalidCode> {
        decode(&letters(text)?).map(Self)
    }
}

fn beginning(pin: Sha256) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *pin.as_bytes();
    first_60([a, b, c, d, e, f, g, h])
}

fn first_60(bytes: [u8; 8]) -> u64 {
    u64::from_be_bytes(bytes) >> 4
}

fn encode(bits: u64) -> [char; HALF] {
    std::array::from_fn(|at| {
        let below = u32::try_from(HALF - 1 - at).unwrap_or(0) * LETTER_BITS;
        let [low, ..] = (bits >> below).to_le_bytes();
        char::from(LETTERS[usize::from(low & 31)])
    })
}

fn decode(letters: &[u64]) -> Result<u64, InvalidCode> {
    if letters.len() != HALF {
        return Err(InvalidCode);
    }
    Ok(letters.iter().fold(0, |bits, letter| bits << LETTER_BITS | letter))
}

/// The value of each letter, as people type them: small, with what looks the same, with spaces or hyphens.
fn letters(text: &str) -> Result<Vec<u64>, InvalidCode> {
    let typed = text.chars().filter(|c| !c.is_whitespace() && *c != '-');
    let value = |typed: char| {
        let letter = match typed.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            letter => letter,
        };
        (0..).zip(LETTERS).find_map(|(value, known)| (char::from(*known) == letter).then_some(value)).ok_or(InvalidCode)
    };
    // Longer than any code: whoever sends it means something else.
    typed.take(2 * HALF + 1).map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "40GJ-48S4-4MK2-NNPY-YAPD-KMCT";

    fn code() -> EnrolmentCode {
        let pin = std::array::from_fn(|n| 0x20 + u8::try_from(n).unwrap());
        EnrolmentCode::new(Sha256::from_bytes(pin), CodeSecret::from_random(*b"\xad\x6d\xef\x2a\xcd\x9d\x19\xab"))
    }

    #[test]
    fn a_code_reads_back_as_it_was_printed() {
        let text = code().to_string();
        assert_eq!(text.len(), 24 + 5);
        assert_eq!(text.parse(), Ok(code()));
        assert_eq!(code().secret.to_string().parse(), Ok(code().secret));
        assert!(text.replace('-', "").ends_with(&code().secret.to_string()));
    }

    #[test]
    fn people_may_type_it_small_and_with_what_looks_the_same() {
        let read = |text: &str| text.parse::<EnrolmentCode>().unwrap();
        let same = CODE.replace('0', "o").replace('1', "l").to_lowercase().replace('-', " ");
        assert_eq!(read(&same), read(CODE));
    }

    #[test]
    fn what_is_no_code_is_refused() {
        let last = &CODE[..CODE.len() - 1];
        for text in ["", last, &format!("{CODE}0"), &CODE.replace('K', "U"), &CODE.replace('K', "ü"), "hello"] {
            assert_eq!(text.parse::<EnrolmentCode>(), Err(InvalidCode), "{text}");
        }
        assert_eq!(CODE.parse::<CodeSecret>(), Err(InvalidCode), "a secret is half a code");
    }

    #[test]
    fn a_code_is_for_the_server_whose_key_begins_like_that() {
        let mut pin: [u8; 32] = std::array::from_fn(|n| 0x20 + u8::try_from(n).unwrap());
        assert!(code().is_for(Sha256::from_bytes(pin)));
        pin[7] ^= 0x10;
        assert!(!code().is_for(Sha256::from_bytes(pin)));
    }

    #[test]
    fn the_secret_is_not_in_the_debug_text() {
        assert!(!format!("{:?}", code()).contains(&code().secret.to_string()));
        assert_eq!(format!("{:?}", code().secret), "CodeSecret");
    }
}
