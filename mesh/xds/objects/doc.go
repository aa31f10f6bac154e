// Package objects keeps Istio's objects on one machine and serves them as kube-apiserver would: istio.io/client-go,
// its watches and kubectl work with it unchanged.
//
// A [Store] holds every object in memory and every write in a journal on disk. A write is answered once the journal
// has it, so a process killed at any point has lost nothing that it answered. Writes are not fsynced: the machine's own
// death may cost the last moments, as the objects' owners write them anew. A journal that takes an older one's place is.
//
// What an object says is kept as it was written, field by field, because JSON Patch speaks about the text: a weight of
// 0 that somebody wrote can be tested and replaced, one that nobody wrote can not. The typed form is made from it, for
// the translator ([Store.Snapshot]) and for validation ([Config].Validate).
//
// A write goes through these steps, one write at a time:
//
//	decode (decode.go, schema.go)   JSON to a draft; unknown fields are refused by name
//	prepare (prepare.go)            what the API server owns: uid, generation, status, finalizers
//	seal (object.go)                the draft becomes an object, typed and encoded; validation
//	commit (store.go)               journal, memory, watches
//
// Reads never wait for writes on their way to disk, and a watch is only a position in the history: a watcher that does
// not read holds nobody up.
//
// Different from kube-apiserver: unknown fields are refused unless the request asks otherwise (there the default is to
// drop them with a warning), there is no server-side apply, owner references delete nothing, and lists come in one piece.
package objects
