// Errors: what a call that did not succeed says, as values to decide by.

package clientela

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "clientela/v1"
)

// Violation is what is wrong with one field of a request: its path, as customer.email, why in a word, and
// in a sentence.
type Violation struct{ Field, Reason, Description string }

// Error is a call that did not succeed; every error of the services is one. Decide by Code and Reason,
// never by the text.
type Error struct {
	Code codes.Code
	// ERROR_REASON_UNSPECIFIED if the error is not the server's, or of a newer contract.
	Reason pb.ErrorReason
	// For people, in English.
	Message string
	// What belongs to the reason, as docs/ERRORS.md of the server says; nil if there is none.
	Metadata map[string]string
	// All that is wrong with the request, if that is what the error is about.
	Violations []Violation
	// How long to wait before trying again; zero if the server does not say so.
	RetryAfter time.Duration
	status     *status.Status
}

func (e *Error) Error() string {
	if e.Reason == pb.ErrorReason_ERROR_REASON_UNSPECIFIED {
		return fmt.Sprintf("%v: %s", e.Code, e.Message)
	}
	return fmt.Sprintf("%v: %s", e.Reason, e.Message)
}

// GRPCStatus is for status.FromError and status.Code.
func (e *Error) GRPCStatus() *status.Status { return e.status }

// HasReason says whether an error is a refusal for this reason.
func HasReason(err error, reason pb.ErrorReason) bool {
	var typed *Error
	return errors.As(err, &typed) && typed.Reason == reason
}

// typed gives what a failed call of gRPC says; io.EOF and nil as they are.
func typed(err error) error {
	var already *Error
	said, ok := status.FromError(err)
	if err == nil || errors.As(err, &already) || !ok {
		return err
	}
	made := &Error{Code: said.Code(), Message: said.Message(), status: said}
	for _, detail := range said.Details() {
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

// typedStream is a stream whose errors are typed.
type typedStream struct{ grpc.ClientStream }

func (s typedStream) RecvMsg(message any) error { return typed(s.ClientStream.RecvMsg(message)) }
