// Package agentspec is the one definition of an agent's file: its fields, defaults, validation and revision digest. The
// CRD's types embed it, the local loader reads it, the agent process runs it.
//
// What holds for a field is written in its tags, once, and everything else is derived from them by reflection: what a
// file may contain, the messages about what it may not, the defaults, the revision, and the schemas of the CRDs.
//
//	json      its name in a file
//	required  "true": must be given and not be empty
//	default   what it means when it is not given
//	min, max  of a number or duration; max of a text in bytes, of a list or map in entries
//	items     the most bytes of each text in a list or map
//	blank     "no": a list's texts must not be blank
//	unique    the field that tells a list's entries apart; "" if they are texts
//	upto      a field beside it that it must not exceed
//	enum      the values that it may have
//	format    a named form: see [Forms]
//	revision  "yes" or "no", on every field of AgentSpec: whether a change of it is a change of behaviour
//
// What no tag can say is in rules.go, and for the CRDs beside the field, as a rule in CEL; tests in mesh/api compare
// what the two say.
//
// +kubebuilder:object:generate=true
package agentspec
