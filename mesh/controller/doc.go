// Package controller moves agents from one revision to another: it observes, lets package canary decide, keeps the
// decision, and has it carried out. It serves RolloutService.
//
// Each agent has one goroutine that decides, [agent.run]; nothing that it calls waits for the world. What it decides goes
// to workers that work until the world is as wanted: one writes the agent's Istio objects, one tells the context store
// which revisions are withdrawn, and the [fleet], which all agents share, has processes run and says who may call whom.
// None of them waits for another. What they see comes back as the next observation.
//
// A decision is kept before it is carried out, but for one that gives traffic back: an abort goes to the mesh and to the
// store at once, while it is kept. If the controller dies in between, the mesh carries the newer decision or the store the
// withdrawal, and the next controller adopts either; what it can't see there is whether the abort was to fence what runs.
// Writes to the disk are under way beside the goroutine, one at a time: whatever is not an abort waits for them, and an
// abort overrules what is being kept.
//
// Numbers per revision come from the outcomes that ContextService streams. The declarations come from a folder; a change
// there that is valid becomes a command to the agents' goroutines, one that is not is reported and changes nothing.
package controller
