// Comparisons of the results with the expectations of the story.

package main

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"google.golang.org/grpc/codes"

	"clientela.dev/clientela"
)

// differs describes how a value differs from the wanted one. An object may have more fields.
func differs(at string, wanted, got any) error {
	switch wanted := wanted.(type) {
	case object:
		if got, is := got.(object); is {
			for name, value := range wanted {
				if err := differs(at+"."+name, value, got[name]); err != nil {
					return err
				}
			}
			return nil
		}
	case []any:
		if got, is := got.([]any); is && len(got) == len(wanted) {
			for n, value := range wanted {
				if err := differs(fmt.Sprintf("%s.%d", at, n), value, got[n]); err != nil {
					return err
				}
			}
			return nil
		}
	}
	if !reflect.DeepEqual(wanted, got) {
		return fmt.Errorf("%s is %.200v, not %.200v", at, got, wanted)
	}
	return nil
}

// wrongText returns the wanted parts that the text of an error lacks.
func wrongText(wanted any, err error) error {
	if err == nil {
		return errors.New("it was not refused")
	}
	parts, _ := wanted.([]any)
	for _, part := range parts {
		if !strings.Contains(err.Error(), part.(string)) {
			return fmt.Errorf("the text %q lacks %q", err.Error(), part)
		}
	}
	return nil
}

// wrongError describes how an error differs from the wanted one.
func wrongError(wanted object, err error) error {
	var typed *clientela.Error
	if !errors.As(err, &typed) {
		return fmt.Errorf("not a typed error: %w", err)
	}
	fields, metadata := []any{}, object{}
	for _, violation := range typed.Violations {
		fields = append(fields, violation.Field)
	}
	for name, value := range typed.Metadata {
		metadata[name] = value
	}
	got := object{"code": codeNames[typed.Code], "reason": typed.Reason.String(), "metadata": metadata}
	for name, value := range wanted {
		if name == "text" {
			if err := wrongText(value, err); err != nil {
				return err
			}
			continue
		}
		if name != "violations" {
			if err := differs(name, value, got[name]); err != nil {
				return err
			}
			continue
		}
		for _, field := range value.([]any) {
			if !strings.Contains(fmt.Sprint(fields)+" ", field.(string)) {
				return fmt.Errorf("no violation of %v", field)
			}
		}
	}
	return nil
}

// The contract's names of the codes that the story expects; those of Go differ.
var codeNames = map[codes.Code]string{
	codes.AlreadyExists: "ALREADY_EXISTS", codes.InvalidArgument: "INVALID_ARGUMENT", codes.NotFound: "NOT_FOUND",
	codes.Aborted: "ABORTED", codes.PermissionDenied: "PERMISSION_DENIED", codes.Unavailable: "UNAVAILABLE",
	codes.Unauthenticated: "UNAUTHENTICATED", codes.DeadlineExceeded: "DEADLINE_EXCEEDED", codes.Internal: "INTERNAL",
}
