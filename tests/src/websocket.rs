//! A WebSocket in front of a broker, plain or encrypted: not every Mosquitto has one.

use crate::certificates::Identity;
use async_tungstenite::{
    tokio::accept_hdr_async,
    tungstenite::handshake::server::{Request, Response},
};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{net::Ipv4Addr, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use ws_stream_tungstenite::WsStream;

/// Listens for WebSockets, which carry what the broker at `port` speaks; encrypted, if there is a certificate. Returns
/// where.
pub async fn in_front_of(port: u16, identity: Option<&Identity>) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let own_port = listener.local_addr().unwrap().port();
    let acceptor = identity.map(acceptor);
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                match acceptor {
                    None => carry(near, port).await,
                    Some(acceptor) => {
                        if let Ok(near) = acceptor.accept(near).await {
                            carry(near, port).await;
                        }
                    }
                }
            });
        }
    });
    own_port
}

fn acceptor(identity: &Identity) -> TlsAcceptor {
    let certs = CertificateDer::pem_file_iter(&identity.cert).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(&identity.key).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    TlsAcceptor::from(Arc::new(builder.with_single_cert(certs, key).unwrap()))
}

async fn carry(near: impl AsyncRead + AsyncWrite + Send + Unpin, port: u16) {
    #[allow(clippy::result_large_err, reason = "the library's own type")]
    let answer = |request: &Request, mut response: Response| {
        let wanted = request.headers().get("Sec-WebSocket-Protocol").expect("a subprotocol");
        assert_eq!((request.uri().path(), wanted.as_bytes()), ("/mqtt", &b"mqtt"[..]));
        response.headers_mut().insert("Sec-WebSocket-Protocol", wanted.clone());
        Ok(response)
    };
    let Ok(socket) = accept_hdr_async(near, answer).await else { return };
    let Ok(mut far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
    copy_bidirectional(&mut WsStream::new(socket), &mut far).await.ok();
}
