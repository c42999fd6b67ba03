// Errors: why a call failed, as values that a program can decide by.

package clientela

import (
	"errors"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "clientela.dev/clientela/v1"
)

// Violation is one field of a request that breaks a rule.
type Violation struct {
	// The path of the field, for example customer.email.
	Field string
	// The rule, for example TOO_LONG.
	Reason string
	// What is wrong, in English.
	Description string
}

// Error is a call that failed. Every error of a service is one. Decide by Code and Reason, not by the text.
type Error struct {
	Code codes.Code
	// ERROR_REASON_UNSPECIFIED if the server did not answer, or if its contract is newer than this module.
	Reason pb.ErrorReason
	// The message of the server, in English.
	Message string
	// Values that belong to the reason; docs/ERRORS.md of the server lists them. Nil if there are none.
	Metadata map[string]string
	// All fields of the request that break a rule; empty if the error is about something else.
	Violations []Violation
	// How long to wait before the next attempt; zero if the server does not say.
	RetryAfter time.Duration
	status     *status.Status
}

// newError returns an error that this module finds without asking the server.
func newError(code codes.Code, reason pb.ErrorReason, message string) *Error {
	return &Error{Code: code, Reason: reason, Message: message, status: status.New(code, message)}
}

// Error returns the reason, or the code if there is none, and every violation, or the message if there are none.
func (e *Error) Error() string {
	text := e.Code.String()
	if e.Reason != pb.ErrorReason_ERROR_REASON_UNSPECIFIED {
		text = e.Reason.String()
	}
	if len(e.Violations) == 0 {
		return text + ": " + e.Message
	}
	fields := make([]string, len(e.Violations))
	for n, violation := range e.Violations {
		fields[n] = violation.Field + ": " + violation.Description
	}
	return text + ": " + strings.Join(fields, "; ")
}

// GRPCStatus makes status.FromError and status.Code work with an Error.
func (e *Error) GRPCStatus() *status.Status { return e.status }

// HasReason reports whether err is an Error with this reason.
func HasReason(err error, reason pb.ErrorReason) bool {
	var typed *Error
	return errors.As(err, &typed) && typed.Reason == reason
}

// typed converts an error of gRPC to an *Error. It returns nil, io.EOF and errors of other packages unchanged.
func typed(err error) error {
	var already *Error
	received, ok := status.FromError(err)
	if err == nil || errors.As(err, &already) || !ok {
		return err
	}
	made := &Error{Code: received.Code(), Message: received.Message(), status: received}
	for _, detail := range received.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			made.Reason = pb.ErrorReason(pb.ErrorReason_value[detail.Reason])
			made.Metadata = detail.Metadata
		case *errdetails.BadRequest:
			for _, v := range detail.FieldViolations {
				made.Violations = append(made.Violations, Violation{v.Field, v.Reason, v.Description})
			}
		case *errdetails.RetryInfo:
			made.RetryAfter = detail.RetryDelay.AsDuration()
		}
	}
	return made
}

// typedStream converts the errors of a stream.
type typedStream struct{ grpc.ClientStream }

func (s typedStream) RecvMsg(message any) error { return typed(s.ClientStream.RecvMsg(message)) }
