package xds

import (
	commonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/fault/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	networking "istio.io/api/networking/v1alpha3"
)

// faults are what a route puts in the place of the listener's empty fault filter.
func faults(fault *networking.HTTPFaultInjection) map[string]*anypb.Any {
	if fault.GetDelay() == nil && fault.GetAbort() == nil {
		return nil
	}

	return map[string]*anypb.Any{faultFilter: pack(&faultv3.HTTPFault{Delay: delay(fault.GetDelay()), Abort: abort(fault.GetAbort())})}
}

func delay(delay *networking.HTTPFaultInjection_Delay) *commonv3.FaultDelay {
	if delay == nil {
		return nil
	}

	return &commonv3.FaultDelay{
		FaultDelaySecifier: &commonv3.FaultDelay_FixedDelay{FixedDelay: delay.GetFixedDelay()},
		Percentage:         fraction(delay.GetPercentage()),
	}
}

func abort(abort *networking.HTTPFaultInjection_Abort) *faultv3.FaultAbort {
	if abort == nil {
		return nil
	}

	translated := &faultv3.FaultAbort{Percentage: fraction(abort.GetPercentage())}

	switch kind := abort.GetErrorType().(type) {
	case *networking.HTTPFaultInjection_Abort_HttpStatus:
		translated.ErrorType = &faultv3.FaultAbort_HttpStatus{HttpStatus: uint32(kind.HttpStatus)} //nolint:gosec // checked
	case *networking.HTTPFaultInjection_Abort_GrpcStatus:
		code, _ := parseCode(kind.GrpcStatus)
		translated.ErrorType = &faultv3.FaultAbort_GrpcStatus{GrpcStatus: uint32(code)}
	}

	return translated
}

// fraction: who names no percentage means all.
func fraction(percentage *networking.Percent) *typev3.FractionalPercent {
	millionths := uint32(1_000_000)
	if percentage != nil {
		millionths = uint32(percentage.GetValue() * 10_000)
	}

	return &typev3.FractionalPercent{Numerator: millionths, Denominator: typev3.FractionalPercent_MILLION}
}
