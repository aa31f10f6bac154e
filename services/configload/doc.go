// Package configload is the job of an init container: it fetches what an agent needs to know before it starts (its prompt,
// its tools, its guardrails), verifies it, and lays it out in a folder that the agent's container mounts.
//
// Everything is fetched and verified before anything is written, so that a folder never holds what nobody asked for.
package configload
