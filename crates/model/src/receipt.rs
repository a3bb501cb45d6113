use base64::Engine;
use chrono::{DateTime, FixedOffset, Utc};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{BASE64URL, DeviceId, Kind, RecordingId, Sha256, Statement};

/// ASN.1 that precedes the uncompressed point in the SubjectPublicKeyInfo of every P-256 key (RFC 5480).
const P256_SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Length of an uncompressed P-256 point: the byte 4, then x and y of 32 bytes each (SEC 1 §2.3.3).
const POINT_LEN: usize = 65;

/// What a receipt says: this recording, with these bytes, is in the store, and the device may delete its copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptClaims {
    /// The device that sent it.
    pub device: DeviceId,
    /// The device's name for the recording.
    pub rid: RecordingId,
    /// Which content under this `rid`, from 1.
    pub revision: u32,
    /// Which camera.
    pub camera: String,
    /// Why it was recorded.
    pub kind: Kind,
    /// When it starts, by the device's clock.
    pub start: DateTime<FixedOffset>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<DateTime<FixedOffset>>,
    /// Bytes.
    pub size: u64,
    /// Checksum of the stored copy.
    pub sha256: Sha256,
    /// The device had declared this checksum. If not, it is the server's word alone, and the device has to compare it
    /// with its own before it deletes.
    pub attested: bool,
    /// When the stored copy was verified.
    pub verified_at: DateTime<Utc>,
    /// The server: base64url SHA-256 of the receipt key's SubjectPublicKeyInfo.
    pub server: String,
    /// Earliest time at which the device may delete its copy.
    pub delete_after: DateTime<Utc>,
}

/// Why a receipt is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// Not three base64url parts, or the claims are not those of a receipt.
    #[error("not a compact JWS with the claims of a receipt")]
    Malformed,
    /// The header names another algorithm, or a key that is not known.
    #[error("signed with a key or an algorithm that this server does not use")]
    UnknownKey,
    /// The signature does not belong to these claims.
    #[error("the signature is wrong")]
    BadSignature,
    /// A key that is no P-256 key.
    #[error("not a P-256 key")]
    BadKey,
    /// No randomness for a signature.
    #[error("the receipt could not be signed")]
    CannotSign,
}

/// A P-256 public key as JSON (RFC 7517, RFC 7518 §6.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    /// `EC`.
    pub kty: String,
    /// `P-256`.
    pub crv: String,
    /// Base64url x coordinate.
    pub x: String,
    /// Base64url y coordinate.
    pub y: String,
    /// Key id; Longshore uses the server id.
    pub kid: String,
    /// `ES256`.
    pub alg: String,
    /// `sig`.
    #[serde(rename = "use")]
    pub usage: String,
}

/// A set of public keys (RFC 7517 §5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwks {
    /// The keys; receipts name theirs by `kid`.
    pub keys: Vec<Jwk>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    kid: String,
    /// What is signed; a receipt, which has none, is never taken for anything else that this key signs, nor that for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    typ: Option<String>,
}

/// The server's key for receipts.
pub struct ReceiptKey {
    pair: EcdsaKeyPair,
    random: SystemRandom,
    server: String,
}

impl ReceiptKey {
    /// Reads a P-256 private key (PKCS #8, DER).
    ///
    /// # Errors
    /// [`ReceiptError::BadKey`] if it is no such key.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, ReceiptError> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random)
            .map_err(|_| ReceiptError::BadKey)?;
        let server = server_id(pair.public_key().as_ref());
        Ok(Self { pair, random, server })
    }

    /// The server's id: base64url SHA-256 of this key's SubjectPublicKeyInfo.
    pub fn server_id(&self) -> &str {
        &self.server
    }

    /// The public half.
    pub fn jwks(&self) -> Jwks {
        let point = self.pair.public_key().as_ref();
        let (x, y) = point.get(1..POINT_LEN).unwrap_or_default().split_at_checked(32).unwrap_or_default();
        Jwks {
            keys: vec![Jwk {
                kty: "EC".into(),
                crv: "P-256".into(),
                x: BASE64URL.encode(x),
                y: BASE64URL.encode(y),
                kid: self.server.clone(),
                alg: "ES256".into(),
                usage: "sig".into(),
            }],
        }
    }

    /// Signs `claims` as a compact JWS with ES256 (RFC 7515 §3.1, RFC 7518 §3.4).
    ///
    /// # Errors
    /// [`ReceiptError::CannotSign`] when the operating system has no randomness to give.
    pub fn sign(&self, claims: &ReceiptClaims) -> Result<String, ReceiptError> {
        self.sign_as(None, claims)
    }

    /// Signs what is no receipt, likewise.
    ///
    /// # Errors
    /// [`ReceiptError::CannotSign`], likewise.
    pub fn state<S: Statement>(&self, statement: &S) -> Result<String, ReceiptError> {
        self.sign_as(Some(S::TYPE.to_owned()), statement)
    }

    fn sign_as(&self, typ: Option<String>, claims: &impl Serialize) -> Result<String, ReceiptError> {
        let header = Header { alg: "ES256".into(), kid: self.server.clone(), typ };
        let part = |json: serde_json::Result<Vec<u8>>| json.map(|bytes| BASE64URL.encode(bytes));
        let header = part(serde_json::to_vec(&header)).map_err(|_| ReceiptError::Malformed)?;
        let payload = part(serde_json::to_vec(claims)).map_err(|_| ReceiptError::Malformed)?;
        let input = format!("{header}.{payload}");
        let signature = self.pair.sign(&self.random, input.as_bytes()).map_err(|_| ReceiptError::CannotSign)?;
        Ok(format!("{input}.{}", BASE64URL.encode(signature)))
    }
}

/// Checks receipts against the public keys that the device got when it was enrolled.
pub struct ReceiptVerifier {
    keys: Vec<(String, [u8; POINT_LEN])>,
}

impl ReceiptVerifier {
    /// Reads the keys; each `kid` must be the id that follows from its key.
    ///
    /// # Errors
    /// [`ReceiptError::BadKey`] if one is no P-256 key or carries a foreign id.
    pub fn new(jwks: &Jwks) -> Result<Self, ReceiptError> {
        let read = |jwk: &Jwk| {
            let coordinate =
                |text: &str| BASE64URL.decode(text).ok().filter(|bytes| bytes.len() == 32).ok_or(ReceiptError::BadKey);
            let mut point = [0; POINT_LEN];
            point[0] = 4;
            point[1..33].copy_from_slice(&coordinate(&jwk.x)?);
            point[33..].copy_from_slice(&coordinate(&jwk.y)?);
            if jwk.kty != "EC" || jwk.crv != "P-256" || jwk.kid != server_id(&point) {
                return Err(ReceiptError::BadKey);
            }
            Ok((jwk.kid.clone(), point))
        };
        Ok(Self { keys: jwks.keys.iter().map(read).collect::<Result<_, _>>()? })
    }

    /// Checks the signature and returns what the receipt says.
    ///
    /// # Errors
    /// Any [`ReceiptError`] but `BadKey` and `CannotSign`.
    pub fn verify(&self, receipt: &str) -> Result<ReceiptClaims, ReceiptError> {
        let (claims, kid) = self.open::<ReceiptClaims>(None, receipt)?;
        if claims.server == kid { Ok(claims) } else { Err(ReceiptError::UnknownKey) }
    }

    /// Checks the signature of what is no receipt and returns what it says.
    ///
    /// # Errors
    /// Likewise.
    pub fn statement<S: Statement>(&self, text: &str) -> Result<S, ReceiptError> {
        let (statement, kid) = self.open::<S>(Some(S::TYPE), text)?;
        if statement.server() == kid { Ok(statement) } else { Err(ReceiptError::UnknownKey) }
    }

    /// The server ids of the keys.
    pub fn servers(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(kid, _)| kid.as_str())
    }

    fn open<T: DeserializeOwned>(&self, typ: Option<&str>, text: &str) -> Result<(T, &str), ReceiptError> {
        let (input, signature) = text.rsplit_once('.').ok_or(ReceiptError::Malformed)?;
        let (header, payload) = input.split_once('.').ok_or(ReceiptError::Malformed)?;
        let decode = |part: &str| BASE64URL.decode(part).map_err(|_| ReceiptError::Malformed);
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| ReceiptError::Malformed)?;
        let (kid, point) = self
            .keys
            .iter()
            .find(|(kid, _)| *kid == header.kid && header.alg == "ES256")
            .ok_or(ReceiptError::UnknownKey)?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(input.as_bytes(), &decode(signature)?)
            .map_err(|_| ReceiptError::BadSignature)?;
        if header.typ.as_deref() != typ {
            return Err(ReceiptError::Malformed);
        }
        let claims = serde_json::from_slice(&decode(payload)?).map_err(|_| ReceiptError::Malformed)?;
        Ok((claims, kid))
    }
}

fn server_id(point: &[u8]) -> String {
    let spki = [&P256_SPKI_PREFIX, point].concat();
    BASE64URL.encode(Sha256::of(&spki).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ReceiptKey {
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        ReceiptKey::from_pkcs8(der.as_ref()).unwrap()
    }

    fn claims(server: &str) -> ReceiptClaims {
        ReceiptClaims {
            device: DeviceId::from_bytes([1; 16]),
            rid: RecordingId::from_bytes([2; 16]),
            revision: 1,
            camera: "front".into(),
            kind: Kind::Event,
            start: "2026-11-21T14:03:22+01:00".parse().unwrap(),
            end: None,
            size: 3,
            sha256: Sha256::of(b"abc"),
            attested: true,
            verified_at: "2026-11-21T15:00:00Z".parse().unwrap(),
            server: server.into(),
            delete_after: "2026-11-21T15:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn a_receipt_says_what_was_signed() {
        let key = key();
        let claims = claims(key.server_id());
        let receipt = key.sign(&claims).unwrap();
        assert_eq!(ReceiptVerifier::new(&key.jwks()).unwrap().verify(&receipt), Ok(claims));
    }

    #[test]
    fn a_receipt_of_another_server_is_refused() {
        let (ours, theirs) = (key(), key());
        let receipt = theirs.sign(&claims(theirs.server_id())).unwrap();
        assert_eq!(ReceiptVerifier::new(&ours.jwks()).unwrap().verify(&receipt), Err(ReceiptError::UnknownKey));
        let in_our_name = theirs.sign(&claims(ours.server_id())).unwrap();
        assert_eq!(ReceiptVerifier::new(&theirs.jwks()).unwrap().verify(&in_our_name), Err(ReceiptError::UnknownKey));
    }

    #[test]
    fn no_altered_receipt_is_accepted() {
        let key = key();
        let verifier = ReceiptVerifier::new(&key.jwks()).unwrap();
        let receipt = key.sign(&claims(key.server_id())).unwrap();
        // The last character of a base64url part may carry unused bits, which the decoder refuses on its own.
        for at in 0..receipt.len() {
            let mut altered = receipt.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            assert!(verifier.verify(&String::from_utf8(altered).unwrap()).is_err(), "byte {at}");
        }
        assert!(verifier.verify("").is_err());
        assert!(verifier.verify("..").is_err());
    }

    #[test]
    fn a_key_under_a_foreign_id_is_refused() {
        let mut jwks = key().jwks();
        jwks.keys[0].kid = key().server_id().into();
        assert!(matches!(ReceiptVerifier::new(&jwks), Err(ReceiptError::BadKey)));
    }
}
