"""What a machine without a network lacks, packed and unpacked."""
