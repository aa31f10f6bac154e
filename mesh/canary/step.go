package canary

// Step decides once. Without a command it never fails; a command that can't be carried out returns a [*Refusal], and the
// state as it would be without the command. Stepping again with the same observation changes nothing.
func Step(state State, observation Observation, command *Command) (State, []Event, error) {
	panic("being written")
}

// Want says what the world should look like in a state.
func Want(state State) Wanted { panic("being written") }

// Validate says what is wrong with a plan: a [*Refusal] with reason INVALID_PLAN, or nil.
func (p Plan) Validate() error { panic("being written") }
