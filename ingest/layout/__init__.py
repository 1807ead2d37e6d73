"""Words with their places on a page → blocks in reading order, with the text that holds them. Pure."""
