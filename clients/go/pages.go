// Pages: every resource of a List call, whatever the size of its pages.

package clientela

import (
	"context"
	"iter"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

type pageRequest interface {
	proto.Message
	GetPageToken() string
}

type page interface{ GetNextPageToken() string }

// All yields the resources of a List call, page after page. It fetches a page when the loop has used up the one
// before. An error is the last value it yields. The page size and the first page are those of the request, which
// All does not change:
//
//	for cart, err := range clientela.All(ctx, client.Carts.ListCarts, &pb.ListCartsRequest{Filter: "state = OPEN"},
//		(*pb.ListCartsResponse).GetCarts) {
func All[Q pageRequest, P page, R any](ctx context.Context,
	list func(context.Context, Q, ...grpc.CallOption) (P, error), request Q, items func(P) []R,
) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		request := proto.CloneOf(request)
		for {
			page, err := list(ctx, request)
			if err != nil {
				var none R
				yield(none, err)
				return
			}
			for _, item := range items(page) {
				if !yield(item, nil) {
					return
				}
			}
			if page.GetNextPageToken() == "" {
				return
			}
			message := request.ProtoReflect()
			field := message.Descriptor().Fields().ByName("page_token")
			message.Set(field, protoreflect.ValueOfString(page.GetNextPageToken()))
		}
	}
}
