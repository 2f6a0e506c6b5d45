//! What only a socket shows.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use super::{BODY_MAX, Daemon};
use crate::{
    http::{Api, serve},
    store::Seq,
};

/// The daemon on a socket, for what only a socket shows.
async fn listening(api: Api) -> (TcpStream, oneshot::Sender<()>, impl Future<Output = ()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let served = serve(listener, api, async { drop(stopped.await) });
    (TcpStream::connect(address).await.unwrap(), stop, served)
}

#[tokio::test]
async fn a_chunked_body_is_cut_off_at_the_limit() {
    let daemon = Daemon::start();
    let (mut client, _stop, served) = listening(daemon.api.clone()).await;
    let ask = async {
        let head = "POST /api/v1/changes HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        client.write_all(head.as_bytes()).await.unwrap();
        let chunk = format!("{:x}\r\n{}\r\n", 1 << 10, "x".repeat(1 << 10));
        // It may hang up while we still send: that is what is wanted.
        for _ in 0..=(BODY_MAX >> 10) {
            if client.write_all(chunk.as_bytes()).await.is_err() {
                break;
            }
        }
        let mut status = [0; 12];
        client.read_exact(&mut status).await.unwrap();
        String::from_utf8_lossy(&status).into_owned()
    };
    let status = tokio::select! {
        status = ask => status,
        () = served => panic!("the server ended"),
    };
    assert_eq!(status, "HTTP/1.1 413");
}

#[tokio::test]
async fn a_stop_ends_idle_connections_and_lets_the_last_request_end() {
    let daemon = Daemon::start();
    let (mut client, stop, served) = listening(daemon.api.clone()).await;
    let ask = async {
        let head = "GET /api/v1/incidents?wait_seq=1&timeout=30s HTTP/1.1\r\nhost: a\r\n\r\n";
        client.write_all(head.as_bytes()).await.unwrap();
        // The request runs once somebody waits for the engine.
        while daemon.assessed.receiver_count() < 2 {
            tokio::task::yield_now().await;
        }
        stop.send(()).unwrap();
        tokio::task::yield_now().await;
        daemon.assessed.send_replace(Seq(1));
        let mut reply = String::new();
        client.read_to_string(&mut reply).await.unwrap();
        reply
    };
    let (reply, ()) = tokio::join!(ask, served);
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
}
