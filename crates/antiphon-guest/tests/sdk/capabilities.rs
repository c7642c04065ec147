//! What the host grants: the bytes that are asked with, and what comes of each answer.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use antiphon_guest::keyvalue::{Entry, Revision, Store};
use antiphon_guest::logging::{Level, Logger};
use antiphon_guest::module::Module;
use antiphon_guest::testing::on_host_call;
use antiphon_guest::{Code, Refused, config, http, logging, module, secrets};

/// What the guest asked: `binding/namespace/operation`, and the payload.
type Asked = Rc<RefCell<Vec<(String, Vec<u8>)>>>;

/// Answers one host call after the other, and keeps what they were.
fn answers(answers: &[Result<&[u8], &str>]) -> Asked {
    let asked = Asked::default();
    let kept = Rc::clone(&asked);
    let mut answers: Vec<_> =
        answers.iter().map(|answer| answer.map(<[u8]>::to_vec).map_err(str::to_owned)).collect();
    answers.reverse();
    on_host_call(move |call| {
        let name = format!("{}/{}/{}", call.binding, call.namespace, call.operation);
        kept.borrow_mut().push((name, call.payload.to_vec()));
        answers.pop().unwrap()
    });
    asked
}

/// Runs a host call that gets this answer; returns what it asked, and what came of it.
fn one<T>(answer: Result<&[u8], &str>, run: impl FnOnce() -> T) -> (String, Vec<u8>, T) {
    let asked = answers(&[answer]);
    let came = run();
    let (name, payload) = asked.borrow_mut().pop().unwrap();
    assert!(asked.borrow().is_empty());
    (name, payload, came)
}

#[test]
fn a_store_asks_by_key_and_tells_what_is_absent_from_what_is_empty() {
    let store = Store::default();
    let (name, payload, got) = one(Ok(b"\x82\xa5value\xc4\x00\xa8revision\x07"), || store.get("k"));
    assert_eq!((&*name, &*payload), ("/keyvalue/get", &b"\x81\xa3key\xa1k"[..]));
    assert_eq!(got, Ok(Some(Entry { value: vec![], revision: Revision(7) })));
    let (_, _, got) = one(Ok(b"\x81\xa8revision\x00"), || store.get("k"));
    assert_eq!(got, Ok(None));

    let written = Ok(&b"\x81\xa8revision\xcd\x01\x00"[..]);
    let (name, payload, revision) = one(written, || Store::grant("users").put("k", [0xff, 0]));
    assert_eq!(name, "users/keyvalue/put");
    assert_eq!(payload, b"\x82\xa3key\xa1k\xa5value\xc4\x02\xff\x00");
    assert_eq!(revision, Ok(Revision(256)));

    let (name, payload, deleted) = one(Ok(b"\x80"), || store.delete("k"));
    assert_eq!((&*name, &*payload, deleted), ("/keyvalue/delete", &b"\x81\xa3key\xa1k"[..], Ok(())));
}

#[test]
fn what_expires_is_written_in_milliseconds_and_never_in_none() {
    for (time, expected) in [
        (Duration::from_millis(5), &b"\x05"[..]),
        (Duration::ZERO, b"\x01"),
        (Duration::from_micros(1), b"\x01"),
        (Duration::MAX, b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
    ] {
        let store = Store::default().expires_in(time);
        let (_, payload, _) = one(Ok(b"\x81\xa8revision\x01"), || store.put("k", ""));
        assert_eq!(payload, [b"\x83\xa3key\xa1k\xa5value\xc4\x00\xadexpires_in_ms", expected].concat());
    }
}

#[test]
fn a_conflict_is_no_refusal() {
    let set = || Store::default().compare_and_set("k", Revision::ABSENT, "v");
    let (name, payload, set_once) = one(Ok(b"\x81\xa8revision\x01"), set);
    assert_eq!(name, "/keyvalue/compare_and_set");
    assert_eq!(payload, b"\x83\xa3key\xa1k\xa5value\xc4\x01v\xa8revision\x00");
    assert_eq!(set_once, Ok(Ok(Revision(1))));

    let (_, _, lost) = one(Err("conflict: the key has revision 1"), set);
    assert_eq!(lost.unwrap().unwrap_err().to_string(), "conflict: the key has revision 1");
    let (_, _, refused) = one(Err("budget: no more"), set);
    assert_eq!(refused.unwrap_err().code(), Code::Budget);
}

#[test]
fn a_list_asks_for_page_after_page_until_there_are_no_more() {
    let pages =
        [Ok(&b"\x82\xa4keys\x92\xa2u1\xa2u2\xa4more\xc3"[..]), Ok(b"\x82\xa4keys\x91\xa2u3\xa4more\xc2")];
    let asked = answers(&pages);
    let mut list = Store::default().list("u").limit(2);
    assert_eq!(list.next().unwrap().unwrap().keys, ["u1", "u2"]);
    assert_eq!(list.next().unwrap().unwrap().keys, ["u3"]);
    assert_eq!(list.next(), None);
    assert_eq!(list.next(), None);
    let asked: Vec<_> = asked.borrow().iter().map(|(_, payload)| payload.clone()).collect();
    let expected =
        [&b"\x82\xa6prefix\xa1u\xa5limit\x02"[..], b"\x83\xa6prefix\xa1u\xa5limit\x02\xa5after\xa2u2"];
    assert_eq!(asked, expected);

    // A refusal ends it, and so does a host that promises more but gives nothing.
    answers(&[Err("unavailable: later")]);
    let mut list = Store::default().list("");
    assert_eq!(list.next().unwrap().unwrap_err().code(), Code::Unavailable);
    assert_eq!(list.next(), None);
    answers(&[Ok(b"\x82\xa4keys\x90\xa4more\xc3")]);
    assert_eq!(Store::default().list("").after("z").count(), 1);
}

#[test]
fn a_request_says_what_was_set_and_nothing_else() {
    let answer =
        Ok(&b"\x83\xa6status\xcd\x01\x94\xa7headers\x92\x92\xa1a\xa1b\x92\xa1a\xa1c\xa4body\xc4\x00"[..]);
    let (name, payload, said) = one(answer, || http::Request::get("u").send());
    assert_eq!((&*name, &*payload), ("/http/request", &b"\x82\xa6method\xa3GET\xa3url\xa1u"[..]));
    let said = said.unwrap();
    assert_eq!(
        (said.status, said.header("A"), said.header("b"), said.headers.len()),
        (404, Some("b"), None, 2)
    );

    let (name, payload, _) = one(answer, || {
        let request = http::Request::post("u", b"x").header("n", "v").grant("rates");
        request.timeout(Duration::from_secs(1)).send()
    });
    assert_eq!(name, "rates/http/request");
    let expected =
        b"\x85\xa6method\xa4POST\xa3url\xa1u\xa7headers\x91\x92\xa1n\xa1v\xa4body\xc4\x01x\xaatimeout_ms\xcd\x03\xe8";
    assert_eq!(payload, expected);
}

#[test]
fn values_and_secrets_are_read_by_name() {
    let (name, payload, value) = one(Ok(b"\x81\xa5value\xa3EUR"), || config::get("currency"));
    assert_eq!((&*name, &*payload), ("/config/get", &b"\x81\xa3key\xa8currency"[..]));
    assert_eq!(value, Ok(Some("EUR".to_owned())));
    let (name, _, value) = one(Ok(b"\x80"), || config::get_from("shop", "currency"));
    assert_eq!((&*name, value), ("shop/config/get", Ok(None)));
    let (name, payload, value) = one(Ok(b"\x81\xa5value\xc4\x02\xff\x00"), || secrets::get_from("shop", "k"));
    assert_eq!((&*name, &*payload), ("shop/secrets/get", &b"\x81\xa3key\xa1k"[..]));
    assert_eq!(value, Ok(vec![0xff, 0]));
}

#[test]
fn a_line_has_a_level_a_message_and_fields_of_every_type() {
    let (name, payload, logged) = one(Ok(b"\x80"), || logging::warn("m", &[]));
    assert_eq!((&*name, logged), ("/logging/log", Ok(())));
    assert_eq!(payload, b"\x83\xa5level\xa4warn\xa7message\xa1m\xa6fields\x80");
    let fields = [
        ("b", true.into()),
        ("u", 7_u8.into()),
        ("i", (-1).into()),
        ("f", 0.5_f64.into()),
        ("t", "x".into()),
        ("n", logging::Value::Null),
    ];
    let (name, payload, _) = one(Ok(b"\x80"), || Logger::grant("audit").log(Level::Error, "m", &fields));
    assert_eq!(name, "audit/logging/log");
    let expected = b"\x83\xa5level\xa5error\xa7message\xa1m\xa6fields\x86\xa1b\xc3\xa1u\x07\xa1i\xff\xa1f\xcb\x3f\xe0\x00\x00\x00\x00\x00\x00\xa1t\xa1x\xa1n\xc0";
    assert_eq!(payload, expected);
    for (log, level) in [
        (logging::trace as fn(&str, &[(&str, logging::Value<'_>)]) -> Result<(), Refused>, "trace"),
        (logging::debug, "debug"),
        (logging::info, "info"),
        (logging::error, "error"),
    ] {
        let (_, payload, _) = one(Ok(b"\x80"), || log("m", &[]));
        assert!(payload.windows(level.len()).any(|part| part == level.as_bytes()));
    }
}

#[test]
fn another_module_is_called_with_bytes() {
    let answer = Ok(&b"\x81\xa7payload\xc4\x0219"[..]);
    let (name, payload, said) = one(answer, || module::call("tax", "compute", b"\x01"));
    assert_eq!(name, "/module/call");
    assert_eq!(payload, b"\x83\xa6module\xa3tax\xa9operation\xa7compute\xa7payload\xc4\x01\x01");
    assert_eq!(said, Ok(b"19".to_vec()));
    let (name, _, _) = one(answer, || Module::new("tax").grant("billing").call("compute", b""));
    assert_eq!(name, "billing/module/call");
}

#[test]
fn a_refusal_has_the_hosts_code_and_sentence() {
    for (text, code, code_text, sentence) in [
        ("not_granted: add it: now", Code::NotGranted, "not_granted", "add it: now"),
        ("forbidden_address: it is private", Code::ForbiddenAddress, "forbidden_address", "it is private"),
        ("guest_failed: Guest call failure: no", Code::GuestFailed, "guest_failed", "Guest call failure: no"),
        ("stack_overflow: too deep", Code::Other, "stack_overflow", "too deep"),
        // No codes: what hosts say that have no capabilities.
        ("Missing host callback function!", Code::Other, "", "Missing host callback function!"),
        ("host call \"\" refused: no route", Code::Other, "", "host call \"\" refused: no route"),
        (": x", Code::Other, "", ": x"),
        ("", Code::Other, "", ""),
    ] {
        let (_, _, refused) = one(Err(text), || config::get("k"));
        let refused = refused.unwrap_err();
        assert_eq!((refused.code(), refused.code_text(), refused.sentence()), (code, code_text, sentence));
        assert_eq!(refused.to_string(), text);
        assert_eq!(format!("{refused:?}"), format!("Refused({text})"));
    }
}

#[test]
fn an_answer_that_is_no_answer_is_refused_and_a_newer_one_is_read() {
    for answer in [&b""[..], b"\xc0", b"\x80", b"\x81\xa5value\x01", b"\x81\xa5value\xc4\x01v\x00"] {
        let (_, _, refused) = one(Ok(answer), || secrets::get("k"));
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidAnswer, "{answer:?}");
        assert!(refused.sentence().starts_with("msgpack not decoded: at byte "), "{refused}");
    }
    let (_, _, value) = one(Ok(b"\x82\xa3new\x91\x01\xa5value\xc4\x01v"), || secrets::get("k"));
    assert_eq!(value, Ok(b"v".to_vec()));
}
