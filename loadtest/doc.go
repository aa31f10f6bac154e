// Package loadtest makes load on a platform from outside, as users make it: conversations that begin whenever they
// begin, however busy the platform is, and talk over REST. It checks what every conversation saw (one revision per agent,
// no event lost or doubled, no turn failed) and measures what each revision did.
//
//	config.go    what load to make, and where
//	scenario.go  the rates over time: steady, ramp, spike
//	canary.go    a rollout beside the load: its share, its abort or its promotion
//	load.go      a running load: start, stop, wait, watch
//	talk.go      one user; ledger.go checks what it sees
//	record.go    what all users saw; report.go what came of it; bars.go what should have come
//
// Latency counts from when a message should have been sent, not from when the generator came to it, so a platform
// that stalls can not hide the users who wait (no coordinated omission).
package loadtest
