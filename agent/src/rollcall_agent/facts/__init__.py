"""What a host says about itself. Each module reads facts of one kind; ``collector`` joins them."""
