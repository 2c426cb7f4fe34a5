//! The client, against a server that behaves badly.

use seatkeeper::domain::tick::Moment;
use seatkeeper::machine::monotonic;
use seatkeeper_client::{Lost, Request, SeatClient, Token, Trouble};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How the server treats a request.
enum Reply {
    /// It closes the connection without an answer.
    Nothing,
    /// It answers after a while.
    After(Duration, &'static str),
}

const GRANTED: &str = "HTTP/1.1 201 Created\r\nContent-Length: 93\r\n\r\n\
    {\"seats\":[{\"id\":\"n~l~p~0~u~s\",\"pool\":\"p\",\"slot\":0}],\"access\":\"Full\",\"ttlSeconds\":3       }   \r\n";
const BUSY: &str = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
const LOST: &str = "HTTP/1.1 200 OK\r\nContent-Length: 41\r\n\r\n{\"lost\":[\"n~l~p~0~u~s\"],\"ttlSeconds\":3}  ";
const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<html>Hi</html>";

/// Starts a server that sends these replies, one on each connection, and reports what it received and when.
fn server(replies: Vec<Reply>) -> (SeatClient, Receiver<(Moment, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for reply in replies {
            let (mut stream, _) = listener.accept().expect("a client connects");
            let mut bytes = [0; 4096];
            let mut text = String::new();
            // Head and body may arrive separately.
            while !text.contains("\r\n\r\n") || (text.starts_with('P') && !text.ends_with('}')) {
                let read = stream.read(&mut bytes).expect("a request");
                assert!(read > 0, "it broke off: {text}");
                text.push_str(std::str::from_utf8(&bytes[..read]).expect("text"));
            }
            let _ = tell.send((monotonic(), text));
            if let Reply::After(wait, answer) = reply {
                std::thread::sleep(wait);
                let _ = stream.write_all(answer.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").as_bytes());
            }
        }
    });
    let client = SeatClient::new(&format!("http://{address}/"), Token::fixed("secret"), None).expect("an address");
    (client, told)
}

fn request() -> Request {
    Request::of("centre", "innoacd", "of-a").user("a").client("pc1").pool("p").version(7).count(1)
}

#[tokio::test]
async fn a_lost_reply_is_asked_for_again_with_the_same_session() {
    let (client, told) = server(vec![Reply::Nothing, Reply::After(Duration::ZERO, GRANTED)]);
    let lease = client.take(&request()).await.expect("a seat");
    assert_eq!((lease.seats().len(), lease.seats()[0].slot), (1, 0));
    let (first, second) = (told.recv().unwrap().1, told.recv().unwrap().1);
    let body = |text: &str| text.split_once("\r\n\r\n").unwrap().1.to_owned();
    assert_eq!(body(&first), body(&second));
    assert!(body(&first).contains(r#""session":"of-a""#) && first.contains("uthorization: Bearer secret"), "{first}");
}

/// If the time were counted from the reply, two clients could hold one seat (docs/design/seats.md).
#[tokio::test]
async fn the_time_of_a_seat_counts_from_when_the_request_was_sent() {
    let (client, _told) = server(vec![Reply::After(Duration::from_millis(1_500), GRANTED)]);
    let lease = client.take(&request()).await.expect("a seat");
    assert_eq!(lease.ttl(), Duration::from_secs(3));
    assert!(lease.left() <= Duration::from_millis(1_500), "{:?}", lease.left());
}

#[tokio::test]
async fn the_client_asks_again_no_sooner_than_the_server_says() {
    let (client, told) = server(vec![Reply::After(Duration::ZERO, BUSY), Reply::After(Duration::ZERO, GRANTED)]);
    client.take(&request()).await.expect("a seat");
    let (first, second) = (told.recv().unwrap().0, told.recv().unwrap().0);
    assert!(second - first >= Duration::from_secs(1), "{:?}", second - first);
}

#[tokio::test]
async fn the_caller_is_told_when_a_seat_is_lost() {
    // The server answers that the seat is lost.
    let (client, told) = server(vec![Reply::After(Duration::ZERO, GRANTED), Reply::After(Duration::ZERO, LOST)]);
    let mut lease = client.take(&request()).await.expect("a seat");
    let left = lease.left();
    assert_eq!(client.keep(&mut lease).await, Lost::Freed);
    assert!(left - lease.left() <= Duration::from_millis(1_200), "a third of the time at most");
    let heartbeat = told.iter().nth(1).expect("two requests").1;
    assert!(heartbeat.starts_with("PUT /v1/seats HTTP/1.1\r\n") && heartbeat.contains(r#"{"ids":["n~l~p~0~u~s"]}"#));
    // The server no longer answers.
    let (client, _told) = server(vec![Reply::After(Duration::ZERO, GRANTED)]);
    let began = monotonic();
    let mut lease = client.take(&request()).await.expect("a seat");
    let lost = client.keep(&mut lease).await;
    assert!(matches!(lost, Lost::Unheard(Some(Trouble::NoAnswer { .. }))), "{lost:?}");
    let took = monotonic() - began;
    assert!(took > Duration::from_millis(2_500) && took < Duration::from_millis(3_500), "{took:?}");
}

#[tokio::test]
async fn a_server_that_is_not_a_seat_server_is_reported() {
    let (client, _told) = server(vec![Reply::After(Duration::ZERO, PAGE)]);
    let trouble = client.take(&request()).await.expect_err("no seat");
    assert!(matches!(trouble, Trouble::Nonsense { .. }), "{trouble:?}");
    assert!(!trouble.may_pass());
}
