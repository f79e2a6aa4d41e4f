//! Where RTMP with TLS is listened for, and with which certificate.

use super::{Listen, address};
use kit::env::Env;
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

const PORT: u16 = 1936;

/// RTMP with TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rtmps {
    /// `EDGE_RTMPS_LISTEN`; default `0.0.0.0:1936` once a certificate is set.
    pub listen: SocketAddr,
    /// `RTMP_TLS_CERT`: path of a PEM file, the server's certificate first.
    pub cert: PathBuf,
    /// `RTMP_TLS_KEY`: path of a PEM file with its private key.
    pub key: PathBuf,
}

/// Reads the three; `None` without a certificate, or when switched off.
pub(super) fn read(env: &mut Env) -> Option<Rtmps> {
    let listen = env.read("EDGE_RTMPS_LISTEN", |text| {
        if text == "off" { Ok(Listen::Off) } else { address(text, PORT).map(Listen::On) }
    });
    let (cert, key) = (env.text("RTMP_TLS_CERT"), env.text("RTMP_TLS_KEY"));
    match (cert, key, listen) {
        (_, _, Some(Listen::Off)) | (None, None, None) => None,
        (Some(cert), Some(key), listen) => {
            let listen = match listen {
                Some(Listen::On(at)) => at,
                Some(Listen::Off) | None => SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)),
            };
            Some(Rtmps { listen, cert: cert.into(), key: key.into() })
        }
        (Some(_), None, _) => {
            env.mistake("RTMP_TLS_KEY", "is needed besides RTMP_TLS_CERT");
            None
        }
        (None, Some(_), _) => {
            env.mistake("RTMP_TLS_CERT", "is needed besides RTMP_TLS_KEY");
            None
        }
        (None, None, Some(Listen::On(_))) => {
            env.mistake("EDGE_RTMPS_LISTEN", "needs RTMP_TLS_CERT and RTMP_TLS_KEY");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(vars: &[(&str, &str)]) -> Result<Option<Rtmps>, String> {
        let mut env = Env::new(vars.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
        let rtmps = read(&mut env);
        env.finish(rtmps).map_err(|error| error.to_string())
    }

    #[test]
    fn a_certificate_switches_it_on() {
        assert_eq!(of(&[]), Ok(None));
        let both = [("RTMP_TLS_CERT", "/c"), ("RTMP_TLS_KEY", "/k")];
        assert_eq!(of(&both).unwrap().unwrap().listen, "0.0.0.0:1936".parse().unwrap());
        let at = [both[0], both[1], ("EDGE_RTMPS_LISTEN", ":443")];
        assert_eq!(of(&at).unwrap().unwrap().listen.port(), 443);
        let off = [both[0], both[1], ("EDGE_RTMPS_LISTEN", "off")];
        assert_eq!(of(&off), Ok(None));
    }

    #[test]
    fn half_of_it_is_a_mistake() {
        assert!(of(&[("RTMP_TLS_CERT", "/c")]).unwrap_err().contains("RTMP_TLS_KEY"));
        assert!(of(&[("RTMP_TLS_KEY", "/k")]).unwrap_err().contains("RTMP_TLS_CERT"));
        assert!(of(&[("EDGE_RTMPS_LISTEN", ":443")]).unwrap_err().contains("needs"));
    }
}
