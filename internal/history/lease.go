package history

import (
	"fmt"
	"time"

	"github.com/anishathalye/porcupine"
)

// LeaseAct is what is done with a lease.
type LeaseAct string

// The acts there are. Write stands for whatever must show the lease.
const (
	Acquire LeaseAct = "acquire"
	Renew   LeaseAct = "renew"
	Release LeaseAct = "release"
	Write   LeaseAct = "write"
)

// LeaseAsked is an act of a holder; all but Acquire show an epoch.
type LeaseAsked struct {
	Act    LeaseAct
	Holder string
	Epoch  int64
}

// LeaseTold is the answer: of an acquisition the epoch.
type LeaseTold struct {
	Unknown, Refused bool
	Epoch            int64
}

// leaseState is who holds a lease; nobody if it is empty. The epoch is that of the last holder.
type leaseState struct {
	epoch  int64
	holder string
}

// CheckLease says what can't be, of one lease that nobody held at first, under an epoch. Time is not a part of the model:
// if leases expire, then at any moment; if not, nobody takes a lease that another holds.
func CheckLease(about string, first int64, expires bool, operations []porcupine.Operation, limit time.Duration) error {
	return check(about, porcupine.NondeterministicModel{
		Init: func() []any { return possible(leaseState{epoch: first}) },
		Step: func(state, asked, told any) []any {
			return leaseStep(state.(leaseState), expires, asked.(LeaseAsked), told.(LeaseTold)) //nolint:forcetypeassert // no others are recorded
		},
		DescribeOperation: func(asked, told any) string { return fmt.Sprintf("%+v is answered with %+v", asked, told) },
	}, operations, limit)
}

func leaseStep(state leaseState, expires bool, asked LeaseAsked, told LeaseTold) []any {
	current := state.epoch == asked.Epoch

	switch asked.Act {
	case Acquire:
		return acquireStep(state, expires, asked, told)
	case Release:
		released := leaseState{epoch: state.epoch}

		switch {
		case told.Unknown && current:
			return possible(state, released)
		case told.Unknown, told.Refused && !current:
			return possible(state)
		case !told.Refused && current:
			return possible(released)
		}
	case Renew, Write:
		if told.Unknown || told.Refused != (current && state.holder != "") {
			return possible(state)
		}
	}

	return impossible()
}

func acquireStep(state leaseState, expires bool, asked LeaseAsked, told LeaseTold) []any {
	free := state.holder == "" || expires
	taken := leaseState{state.epoch + 1, asked.Holder}

	switch {
	case told.Unknown && free:
		return possible(state, taken)
	case told.Unknown:
		return possible(state)
	case told.Refused:
		if state.holder != "" && state.holder != asked.Holder {
			return possible(state)
		}
	case state.holder == asked.Holder && told.Epoch == state.epoch:
		return possible(state)
	case free && told.Epoch == taken.epoch:
		return possible(taken)
	}

	return impossible()
}
