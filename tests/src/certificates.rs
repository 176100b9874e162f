//! A certificate authority of one's own, for tests of TLS.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// When a certificate holds.
#[derive(Clone, Copy)]
pub enum Validity {
    /// Now.
    Now,
    /// No longer.
    Past,
    /// Not yet.
    Future,
}

/// An authority, and the directory of what it made.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

/// A certificate and its key, as PEM files.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Authority {
    /// A new one.
    pub fn new(name: &str) -> Self {
        let mut params = params(name, Validity::Now);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, dir }
    }

    /// The authority's own certificate.
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// A certificate of a server for a name, with an EC key.
    pub fn server(&self, name: &str, validity: Validity) -> Identity {
        self.issue(name, validity, KeyPair::generate().unwrap(), ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate of a client, with an EC key.
    pub fn client(&self, name: &str, validity: Validity) -> Identity {
        self.issue(name, validity, KeyPair::generate().unwrap(), ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A certificate of a client, with an RSA key of 2048 bits.
    pub fn client_with_rsa(&self, name: &str) -> Identity {
        let args = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-quiet"];
        let made = Command::new("openssl").args(args).output();
        let made = made.expect("this test needs openssl: apt-get install openssl");
        let pem = String::from_utf8(made.stdout).unwrap();
        let key = KeyPair::from_pem(&pem).unwrap_or_else(|error| panic!("openssl: {error}"));
        self.issue(name, Validity::Now, key, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(
        &self,
        name: &str,
        validity: Validity,
        key: KeyPair,
        purpose: ExtendedKeyUsagePurpose,
    ) -> Identity {
        let mut params = params(name, validity);
        params.extended_key_usages = vec![purpose];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let number = fs::read_dir(self.dir.path()).unwrap().count();
        let path = |kind: &str| self.dir.path().join(format!("{number}.{kind}"));
        let identity = Identity { cert: path("pem"), key: path("key") };
        fs::write(&identity.cert, certificate.pem()).unwrap();
        fs::write(&identity.key, key.serialize_pem()).unwrap();
        identity
    }
}

impl Identity {
    /// Puts this one's files in the place of another's.
    pub fn replace(&self, other: &Self) {
        let copy = |from: &Path, to: &Path| fs::copy(from, to).map(|_| ()).unwrap();
        copy(&self.cert, &other.cert);
        copy(&self.key, &other.key);
    }
}

fn params(name: &str, validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    let (from, to) = match validity {
        Validity::Now => (2020, 2120),
        Validity::Past => (2020, 2021),
        Validity::Future => (2119, 2120),
    };
    (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
    params
}
