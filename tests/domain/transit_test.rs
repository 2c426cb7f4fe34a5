//! Texts as people hand them on: keys and key sets that editors, shells, mail programs and OpenSSL have written.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use std::time::Duration;

use seatkeeper::domain::license::jwk::{publish, read_jwks, read_signing_key, signing_key_pem};
use seatkeeper::domain::transit::{json_in, pem_in, text_of, token_in, unquoted};
use seatkeeper::machine::monotonic;

/// RFC 8410, section 10.3: without the public key, and with it and an attribute.
const VERSION_1: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";
const VERSION_2: &str = "-----BEGIN PRIVATE KEY-----
MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
oB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB
Z9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PRIVATE KEY-----
";
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
";
const RSA: &str = "-----BEGIN RSA PRIVATE KEY-----\nMIIBOgIBAAJBAMVQq6+5pJR8\n-----END RSA PRIVATE KEY-----\n";
const RSA_PKCS8: &str = "-----BEGIN PRIVATE KEY-----
MIIBVAIBADANBgkqhkiG9w0BAQEFAASCAT4wggE6AgEAAkEAxVCrr7mklHwlHT/J
yLo2v/uJ0/xZha+gC5DdhS/3TslC/QmGSnDot3VUVfTvNCcqnXeK6h6RMyhj28cD
LdsncwIDAQABAkBNO0o4Of3FcOJGFJWyz9BmTNqh8wBHZ3rJjCZo32F5oHUZJDwP
L+pKHA0YFkQU8J49FfP5G+gwG3I5TNdYLGPBAiEA8AhcHIADYVvrMirKMFMq7LOD
XvX6T19w6JbOpy+ZR0sCIQDScNoSDgLFVNmKRpj//pkhomCUtdRTlz5DseDXNnc/
eQIgO7moycKklK4deK8i/iFDlgAY2SEVdniGDKmxo/H5Dr8CIQDEhjVw1PrLdBDw
LDvoHci9+1k8p44RPlYce/qgoTG96QIgVeLeWDoPer9/t+0il+melAs+s/bKjWNs
peYi7oj9rqE=
-----END PRIVATE KEY-----
";
const EC: &str = "-----BEGIN EC PARAMETERS-----
BggqhkjOPQMBBw==
-----END EC PARAMETERS-----
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIMsxFGFSzAyVE55pzCLPiq6HHwXIjgvpLXkeTEpeB0zDoAoGCCqGSM49
AwEHoUQDQgAE+xyk8dq0P+S8vDSzhr5aaWuHfawO/PqDui7lISfo1oiX8iU09Ss1
VeGq/tcZ4FtWbLNapbA7ykujhbALZhyoPw==
-----END EC PRIVATE KEY-----
";
const EC_PKCS8: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgyzEUYVLMDJUTnmnM
Is+KrocfBciOC+kteR5MSl4HTMOhRANCAAT7HKTx2rQ/5Ly8NLOGvlppa4d9rA78
+oO6LuUhJ+jWiJfyJTT1KzVV4ar+1xngW1Zss1qlsDvKS6OFsAtmHKg/
-----END PRIVATE KEY-----
";
const X25519: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VuBCIEIFhUCmx1UItBWKAH8JC1xAGP61+Su09of85oLZmgpnRl
-----END PRIVATE KEY-----
";
const ED448: &str = "-----BEGIN PRIVATE KEY-----
MEcCAQAwBQYDK2VxBDsEOT+XnmbRnNz2H60tOam4r1dU8prilfsdaIViLs2+S7Rx
+32lmYgYrHV5EQFrxPETL3kRf2umQfV7rg==
-----END PRIVATE KEY-----
";
const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGaMFYG\n-----END ENCRYPTED PRIVATE KEY-----\n";
const ENCRYPTED_RSA: &str = "-----BEGIN RSA PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-128-CBC,3D44A2F10114B19454AFB8240A6B765E

puwZ1Wqi0Lfk/gUWitvL65suSp3YgFxI
-----END RSA PRIVATE KEY-----
";
const OPENSSH: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n-----END OPENSSH PRIVATE KEY-----\n";
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMIIBOgIBAAJBAMVQ\n-----END CERTIFICATE-----\n";

#[test]
fn a_signing_key_is_found_as_openssl_finds_it() {
    let expected = read_signing_key(VERSION_1.as_bytes()).expect("the key of RFC 8410").to_bytes();
    let bag = "Bag Attributes\n    friendlyName: seats\n    localKeyID: 54 69\nKey Attributes: <No Attributes>\n";
    for text in [
        VERSION_2.to_owned(),
        format!("{PUBLIC}{VERSION_1}"),
        format!("{VERSION_1}{PUBLIC}"),
        format!("{CERTIFICATE}{VERSION_2}{CERTIFICATE}"),
        format!("{EC}{VERSION_1}"),
        format!("{VERSION_1}{VERSION_2}"),
        format!("{bag}{VERSION_1}"),
        format!("{VERSION_1}\n-----\n"),
        VERSION_1.replace('\n', "\r\n"),
        VERSION_1.replace('\n', "  \n"),
        VERSION_1.replace('\n', "\\n"),
        VERSION_1.replace('\n', " "),
        VERSION_2.replace('\n', ""),
        VERSION_2.replace('\n', "\n    "),
        format!("> {}", VERSION_2.replace('\n', "\n> ")),
        format!("signing-key.pem: \"{}\"\n", VERSION_1.replace('\n', "\\n")),
        BASE64_STANDARD.encode(VERSION_2),
    ] {
        let read = read_signing_key(text.as_bytes()).map(|key| key.to_bytes());
        assert_eq!(read, Ok(expected), "{text}");
    }
    let (_, another) = signing_key_pem(&[1; 32]).expect("a key");
    let said = read_signing_key(format!("{VERSION_1}{}", another.as_str()).as_bytes()).unwrap_err().message;
    assert!(said.contains("holds several Ed25519 private keys"), "{said}");
}

#[test]
fn what_is_no_signing_key_gets_a_sentence_of_its_own() {
    let mut mismatch = BASE64_STANDARD.decode(VERSION_2.lines().skip(1).take(3).collect::<String>()).unwrap();
    *mismatch.last_mut().unwrap() ^= 1;
    let mismatch =
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----", BASE64_STANDARD.encode(mismatch));
    for (text, says) in [
        (RSA, "it is an RSA key; create one with `seatkeeper keygen`"),
        (RSA_PKCS8, "it is an RSA key"),
        (EC, "it is an ECDSA key (RFC 5915)"),
        (EC_PKCS8, "it is an ECDSA key"),
        (X25519, "it is a key of X25519, X448 or Ed448"),
        (ED448, "it is a key of X25519, X448 or Ed448"),
        (ENCRYPTED, "it is encrypted; decrypt it with `openssl pkey"),
        (ENCRYPTED_RSA, "it is encrypted; decrypt it with `openssl pkey"),
        (OPENSSH, "it is a key in the format of OpenSSH"),
        (PUBLIC, "it is a public key, which signs nothing"),
        (CERTIFICATE, "it holds no private key"),
        (&VERSION_1.replace("VhC", "V"), "it was changed or cut short; copy it again"),
        (&VERSION_1.replace("BCIE", "BC!E"), "it was changed or cut short"),
        (&mismatch, "it was changed or cut short"),
        (&VERSION_1[..80], "it has no line -----END; is it complete?"),
        ("-----BEGIN PRIVATE", "it has a line -----BEGIN that is cut short"),
        ("", "it is empty"),
        (r#"{"kty":"OKP","d":"hunter2"}"#, "it begins as JSON does"),
        ("hunter2", "it has no line -----BEGIN PRIVATE KEY-----"),
    ] {
        let said = read_signing_key(text.as_bytes()).unwrap_err().to_string();
        assert!(said.contains("is not an Ed25519 private key as PKCS #8 in PEM: ") && said.contains(says), "{said}");
        assert!(!said.contains("hunter2") && said.len() < 256, "{said}");
    }
}

#[test]
fn a_token_that_is_cut_or_is_not_alone_is_not_guessed_at() {
    let token = format!("eyJhbGciOiJFZERTQSJ9.eyJ4IjoxfQ.{}", "s".repeat(86));
    let found = |text: &str| token_in(text.as_bytes()).map(|token| token.into_owned());
    for text in [
        format!("Bearer {token}"),
        format!("\"{token}\","),
        format!("<{token}>"),
        format!("{token}\nRegards"),
        format!("{token}. That is all"),
        token.replace('.', ".\n"),
        token.replace('.', ".\r\n>> "),
    ] {
        assert_eq!(found(&text), Ok(token.clone()), "{text}");
    }
    for text in [format!("x{token} y"), format!("{token}s y"), format!("{} y", &token[..90]), format!("{token}.s y")] {
        assert_ne!(found(&text).as_deref(), Ok(token.as_str()), "{text}");
    }
    assert!(found(&format!("{token} {}", token.replace('x', "y"))).unwrap_err().contains("several"));
}

#[test]
fn of_json_no_part_is_taken_that_means_something_else() {
    let set = serde_json::to_string(&publish([&SigningKey::from_bytes(&[3; 32]).verifying_key()])).expect("JSON");
    assert!(read_jwks(format!("x {set} x").as_bytes()).is_ok());
    let commented: String = set.replace(',', ",\n").lines().map(|line| format!("# {line}\n")).collect();
    for text in [
        format!("[{set}]"),
        format!("[{set}] Regards"),
        format!("{set},"),
        format!("[1, {set}"),
        BASE64_STANDARD.encode(format!("[{set}]")),
        format!("# {set}"),
        format!("// {set}"),
        commented,
        format!("{VERSION_1}{set}"),
        BASE64_STANDARD.encode(format!("{VERSION_1}{set}")),
        format!("{set}{set}"),
        format!("{set}\n{set}"),
        format!("{:?}", set),
        set[1..].to_owned(),
    ] {
        assert!(read_jwks(text.as_bytes()).is_err(), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_can_be_read_and_a_text_is_what_it_was(
        bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[ -~\n>\u{e4}\u{1f600}]{1,80}", mark in any::<bool>(),
    ) {
        let _ = (text_of(&bytes).map(|text| unquoted(&text).len()), token_in(&bytes), pem_in(&bytes).map(|found| found.len()));
        let _ = json_in(&bytes, |bytes| serde_json::from_slice::<serde_json::Value>(bytes).map_err(|e| e.to_string()));
        let marked = if mark { format!("\u{feff}{text}") } else { text.clone() };
        prop_assert_eq!(text_of(marked.as_bytes()), Ok(text.as_str().into()));
        let marked = format!("\u{feff}{text}");
        for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            let utf_16: Vec<u8> = marked.encode_utf16().flat_map(bytes).collect();
            prop_assert_eq!(text_of(&utf_16), Ok(text.as_str().into()));
        }
    }
}

/// The attack: texts that begin as a token, a block or an object does again and again.
#[test]
fn a_text_four_times_as_long_takes_about_four_times_as_long() {
    let token = |n: usize| format!("eyJhbGciOiJFZERTQSJ9.eyJ4Ijox{n:07}fQ.{} ", "s".repeat(86));
    let repeated = |piece: &'static str| move |length: usize| piece.repeat(length / piece.len());
    let pieces =
        ["eyJ ", "eyJ\n", "eyJ.\n>", "{", "}{", "-----BEGIN x-----", "-----BEGIN -----END ", ">", "> \n", "eyJa.a."];
    let mut texts: Vec<Box<dyn Fn(usize) -> String>> =
        pieces.into_iter().map(|piece| Box::new(repeated(piece)) as Box<dyn Fn(usize) -> String>).collect();
    texts.push(Box::new(move |length| (0..length / 130).map(token).collect()));
    texts.push(Box::new(move |length| BASE64_STANDARD.encode((0..length / 180).map(token).collect::<String>())));
    let none = |_: &[u8]| Err::<(), _>("nothing is good enough".to_owned());
    for (nth, text) in texts.iter().enumerate() {
        let took = |length: usize| {
            let text = text(length);
            let of = || {
                let began = monotonic();
                let _ = (token_in(text.as_bytes()), pem_in(text.as_bytes()).map(|found| found.len()));
                let _ = (json_in(text.as_bytes(), none), unquoted(&text).len());
                monotonic() - began
            };
            (0..3).map(|_| of()).min().expect("three times")
        };
        let (short, long) = (took(256 << 10), took(1 << 20));
        assert!(long < short * 10 + Duration::from_millis(50), "text {nth}: {short:?}, then {long:?}");
    }
}
