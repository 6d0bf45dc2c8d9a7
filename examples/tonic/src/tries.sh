cargo run -q -p example-tonic -- call "$ALICE" Get                  # Ok (0)
cargo run -q -p example-tonic -- call "$ALICE" Create               # Ok (0)
cargo run -q -p example-tonic -- call "$BOB" Watch                  # Ok (0), a message for each order
cargo run -q -p example-tonic -- call "$BOB" Create                 # PermissionDenied (7)
cargo run -q -p example-tonic -- call - Get                         # Unauthenticated (16)
cargo run -q -p example-tonic -- call nonsense Get                  # Unauthenticated (16)
cargo run -q -p example-tonic -- call - Health                      # Ok (0), it is public
cargo run -q -p example-tonic -- call - /shop.Stock/Get             # Unauthenticated (16), no rule
cargo run -q -p example-tonic -- call "$ALICE" /shop.Stock/Get      # PermissionDenied (7), no rule
cargo run -q -p example-tonic -- call "$ALICE" /shop.Orders//Get    # InvalidArgument (3)
