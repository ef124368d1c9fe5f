//! Bodies as S3 receives them: freed of their `aws-chunked` encoding, and compared with every checksum
//! that came along. A checksum that cannot be verified here must never count as verified.

use axum::http::HeaderMap;
use sha2::{Digest, Sha256};

use super::reply::Refusal;

/// Names in lower case, with their values.
type Headers = Vec<(String, String)>;

/// The real body and the checksums that were announced for it, by full header name.
pub struct Received {
    pub body: Vec<u8>,
    pub checksums: Headers,
}

/// Unwraps and checks what came with these headers.
pub fn receive(headers: &HeaderMap, raw: &[u8]) -> Result<Received, Refusal> {
    let payload = text(headers, "x-amz-content-sha256").unwrap_or_default();
    let (body, trailers) = if payload.starts_with("STREAMING-") {
        unwrap_chunks(raw).ok_or_else(|| Refusal::bad_request("IncompleteBody"))?
    } else {
        (raw.to_vec(), Vec::new())
    };
    if let Some(length) = text(headers, "x-amz-decoded-content-length")
        && length != body.len().to_string()
    {
        return Err(Refusal::bad_request("IncompleteBody"));
    }
    if payload.len() == 64 && payload != hex(&Sha256::digest(&body)) {
        return Err(Refusal::bad_request("XAmzContentSHA256Mismatch"));
    }
    let announced = headers
        .iter()
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    let mut checksums: Vec<_> = announced.chain(trailers).collect();
    checksums.retain(|(name, _)| {
        name.starts_with("x-amz-checksum-")
            && name != "x-amz-checksum-mode"
            && name != "x-amz-checksum-type"
    });
    for (name, value) in &checksums {
        let actual = match name.as_str() {
            "x-amz-checksum-sha256" => base64(&Sha256::digest(&body)),
            "x-amz-checksum-crc32" => base64(&crc32(&body).to_be_bytes()),
            _ => return Err(Refusal::not_implemented(name)),
        };
        if &actual != value {
            return Err(Refusal::bad_request("BadDigest"));
        }
    }
    Ok(Received { body, checksums })
}

/// A tag that follows from the content alone, as S3's does (there it is the MD5).
pub fn etag(body: &[u8]) -> String {
    format!("\"{}\"", &hex(&Sha256::digest(body))[..32])
}

/// The chunks of `size[;chunk-signature=…]` lines joined, and the trailing headers.
fn unwrap_chunks(raw: &[u8]) -> Option<(Vec<u8>, Headers)> {
    let mut body = Vec::new();
    let mut rest = raw;
    loop {
        let line = take_line(&mut rest)?;
        let size = usize::from_str_radix(line.split(';').next()?, 16).ok()?;
        if size == 0 {
            break;
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
    let mut trailers = Vec::new();
    while let Some(line) = take_line(&mut rest) {
        if let Some((name, value)) = line.split_once(':') {
            trailers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    Some((body, trailers))
}

fn take_line<'raw>(rest: &mut &'raw [u8]) -> Option<&'raw str> {
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let line = str::from_utf8(&rest[..end]).ok()?;
    *rest = &rest[end + 2..];
    Some(line)
}

fn text<'headers>(headers: &'headers HeaderMap, name: &str) -> Option<&'headers str> {
    headers.get(name)?.to_str().ok()
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

/// Standard base64 with padding, as in the checksum headers.
pub fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for group in bytes.chunks(3) {
        let mut bits = [0; 4];
        bits[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(bits);
        for position in 0..4 {
            if position > group.len() {
                encoded.push('=');
            } else {
                let index = (bits >> (18 - 6 * position)) & 0x3f;
                encoded.push(char::from(ALPHABET[index as usize]));
            }
        }
    }
    encoded
}

/// The CRC-32 of zlib, which the SDKs send where nothing else is asked of them.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc: u32, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}
