// Package retriever is the room of RetrieverService, the sidecar that an agent asks for passages of documents before it
// builds a prompt. It reads folders and pages, again and again, and keeps an index of them in one SQLite file, so that a
// restart neither parses nor embeds anew what has not changed.
//
// A document's way: folder.go and pages.go find it, ingest.go decides whether it has changed and whether there is room,
// markdown.go, html.go and text.go take it apart into blocks with their places in the document, chunk.go packs blocks into
// passages, index.go keeps them, embedding.go asks for their vectors whenever the endpoint answers.
//
// A query's way: door.go lets it in, over HTTP or gRPC on one port; retrieve.go ranks by words (words.go, FTS5's BM25) and by
// vectors (vectors.go, exact cosines), and joins both rankings by reciprocal rank fusion (rank.go). Without vectors words
// alone count, and the answer says so.
//
// The index holds nothing that the documents do not: one that is damaged, or of a later release, is put aside and made anew.
package retriever
